with flights as (
    select * from {{ ref('stg_flights') }}
),

outcomes as (
    select
        *,
        case
            when not has_departed then 'cancelled'
            when arrival_delay_minutes is null then 'diverted'
            else 'landed'
        end as outcome
    from flights
),

-- Arrival times are local to airports whose zone is partly missing, so a landing is dated from the departure:
-- schedule, plus departure delay, plus minutes in the air. Without a departure delay the arrival delay
-- stands in; without minutes in the air the distance at 3.9 miles a minute does, slower than 99 % of flights,
-- because a label may be known too late but never too early.
final as (
    select
        *,
        case
            when outcome = 'landed' then greatest(
                scheduled_departure_at,
                scheduled_departure_at + to_minutes(
                    coalesce(departure_delay_minutes, arrival_delay_minutes)
                    + coalesce(air_minutes, ceil(distance_miles / 3.9)::bigint)
                )
            )
        end as landed_at
    from outcomes
)

select * from final
