{% set windows = {'1d': 1440, '7d': 10080, '28d': 40320} %}

with landings as (
    select * from {{ ref('int_landings') }}
    where {{ in_lookback('partition') }} and tailnum is not null
),

by_minute as (
    select
        tailnum,
        {{ minute_of("landed_at") }} as landed_minute,
        min(landed_at) as landed_at,
        min(landed_on) as landed_on,
        min(landed_minute_of_day) as landed_minute_of_day,
        count(*) as flights,
        sum(departure_delay_minutes) as departure_delay_sum,
        sum(arrival_delay_minutes) as arrival_delay_sum,
        sum(is_late) as late_flights,
        -- Two landings of one plane in one minute are a recording error; the later schedule is its last leg.
        max_by(departure_delay_minutes, (scheduled_departure_at, flight_id)) as last_leg_departure_delay,
        max_by(arrival_delay_minutes, (scheduled_departure_at, flight_id)) as last_leg_arrival_delay
    from landings
    group by tailnum, landed_minute
),

running as (
    select
        *,
        {{ running_totals('tailnum') }}
    from by_minute
),

framed as (
    select
        *,
        {{ window_starts('tailnum', windows) }}
    from running
),

rolled as (
    select
        tailnum,
        landed_at as event_timestamp,
        landed_at as created_timestamp,
        {{ rolling_delays('plane', windows) }},
        last_leg_departure_delay as plane_last_leg_departure_delay,
        last_leg_arrival_delay as plane_last_leg_arrival_delay,
        landed_minute_of_day as plane_last_leg_landed_minute_of_day,
        landed_on as partition
    from framed
)

select * from rolled
where {{ in_range('partition') }}
