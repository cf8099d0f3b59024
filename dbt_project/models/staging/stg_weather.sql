with weather as (
    select * from {{ raw('weather') }}
),

-- The calendar columns are the key, as in the flights table; when the clocks go back two observations share an
-- hour and the earlier one, whose hour is the one that the calendar columns name first, is kept.
final as (
    select
        origin,
        make_timestamp(year, month, day, hour, 0, 0) at time zone '{{ var("time_zone") }}' as observed_hour_at,
        temp as temperature_f,
        dewp as dew_point_f,
        humid as humidity_percent,
        wind_speed as wind_speed_mph,
        wind_gust as wind_gust_mph,
        precip as precipitation_inches,
        pressure as pressure_millibars,
        visib as visibility_miles,
        partition
    from weather
    qualify row_number() over (
        partition by origin, year, month, day, hour, partition
        order by time_hour
    ) = 1
)

select * from final
