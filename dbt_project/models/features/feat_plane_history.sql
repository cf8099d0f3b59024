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
        {{ window_starts('tailnum') }}
    from running
),

rolled as (
    select
        tailnum,
        landed_at as event_timestamp,
        landed_at as created_timestamp,
        {{ rolling_delays('plane') }},
        last_leg_departure_delay as plane_last_leg_departure_delay,
        last_leg_arrival_delay as plane_last_leg_arrival_delay,
        date_part('hour', landed_at at time zone '{{ var("time_zone") }}') * 60
        + date_part('minute', landed_at at time zone '{{ var("time_zone") }}') as plane_last_leg_landed_minute_of_day,
        landed_on as partition
    from framed
)

select * from rolled
where {{ in_range('partition') }}
