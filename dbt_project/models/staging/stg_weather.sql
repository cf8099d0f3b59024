with weather as (
    select * from {{ raw('weather') }}
),

-- The local hour is the key, as everywhere in this table. The hour that the clocks repeat in November has two
-- observations; the second is kept, whose hour is the one that the conversion to UTC gives.
final as (
    select
        origin,
        make_timestamp(year, month, day, hour, 0, 0)
        at time zone '{{ var("time_zone") }}' as observed_hour_at,
        temp as temperature_f,
        dewp as dew_point_f,
        humid as humidity_percent,
        -- One sensor once reported 1,048 mph; the strongest gust ever measured is 254.
        case when wind_speed <= 254 then wind_speed end as wind_speed_mph,
        case when wind_gust <= 254 then wind_gust end as wind_gust_mph,
        precip as precipitation_inches,
        pressure as pressure_millibars,
        visib as visibility_miles,
        partition
    from weather
    qualify row_number() over (
        partition by origin, year, month, day, hour, partition
        order by time_hour desc
    ) = 1
)

select * from final
