with weather as (
    select * from {{ ref('stg_weather') }}
    where {{ in_range('partition') }}
),

final as (
    select
        origin,
        observed_hour_at as event_timestamp,
        -- Readings are taken late in the hour that names them (at :51), so they are known when it is over.
        observed_hour_at + to_hours(1) as created_timestamp,
        temperature_f,
        dew_point_f,
        humidity_percent,
        wind_speed_mph,
        wind_gust_mph,
        precipitation_inches,
        pressure_millibars,
        visibility_miles,
        partition
    from weather
)

select * from final
