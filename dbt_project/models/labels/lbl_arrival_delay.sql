with flights as (
    select * from {{ ref('int_flights') }}
    where {{ in_range('partition') }}
),

final as (
    select
        flight_id,
        carrier,
        origin,
        route,
        tailnum,
        dest,
        scheduled_departure_at as event_timestamp,
        arrival_delay_minutes::double as arrival_delay_minutes,
        landed_at as label_available_at,
        outcome,
        partition
    from flights
)

select * from final
