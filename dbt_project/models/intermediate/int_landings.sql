with flights as (
    select * from {{ ref('int_flights') }}
    where outcome = 'landed'
),

final as (
    select
        flight_id,
        carrier,
        origin,
        route,
        tailnum,
        scheduled_departure_at,
        landed_at,
        departure_delay_minutes,
        arrival_delay_minutes,
        (arrival_delay_minutes > {{ var('late_after_minutes') }})::bigint as is_late,
        (landed_at at time zone '{{ var("time_zone") }}')::date as landed_on,
        partition
    from flights
    -- A window of 28 days plus 2 is what `lookback_days: 30` reads; a flight that takes longer to land than
    -- until the end of the next but one day has a broken delay and would make a day's rows depend on the range built.
    where (landed_at at time zone '{{ var("time_zone") }}')::date <= partition + 2
)

select * from final
