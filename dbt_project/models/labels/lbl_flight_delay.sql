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
        (arrival_delay_minutes > {{ var('late_after_minutes') }})::bigint as is_late,
        landed_at as label_available_at,
        outcome,
        partition
    from flights
)

select * from final
