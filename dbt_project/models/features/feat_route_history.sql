{% set windows = {'1d': 1440, '7d': 10080, '28d': 40320} %}

with landings as (
    select * from {{ ref('int_landings') }}
    where {{ in_lookback('partition') }}
),

by_minute as (
    select
        route,
        {{ minute_of("landed_at") }} as landed_minute,
        min(landed_at) as landed_at,
        min(landed_on) as landed_on,
        count(*) as flights,
        sum(departure_delay_minutes) as departure_delay_sum,
        sum(arrival_delay_minutes) as arrival_delay_sum,
        sum(is_late) as late_flights
    from landings
    group by route, landed_minute
),

running as (
    select
        *,
        {{ running_totals('route') }}
    from by_minute
),

framed as (
    select
        *,
        {{ window_starts('route', windows) }}
    from running
),

rolled as (
    select
        route,
        landed_at as event_timestamp,
        landed_at as created_timestamp,
        {{ rolling_delays('route', windows) }},
        landed_on as partition
    from framed
)

select * from rolled
where {{ in_range('partition') }}
