with flights as (
    select
        *,
        landed_at at time zone '{{ var("time_zone") }}' as landed_at_local
    from {{ ref('int_flights') }}
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
        landed_at_local::date as landed_on,
        (60 * hour(landed_at_local)) + minute(landed_at_local) as landed_minute_of_day,
        partition
    from flights
    -- 28 days of window plus 2 are what a build reads (history_lookback_days). A flight that lands
    -- later than the next day but one has a broken delay, and would make rows depend on the range built.
    where landed_at_local::date <= partition + 2
)

select * from final
