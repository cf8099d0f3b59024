with flights as (
    select * from {{ raw('flights') }}
),

final as (
    select
        carrier || '-' || flight || '-' || origin || '-' || strftime(partition, '%Y%m%d') || '-'
        || lpad(sched_dep_time::varchar, 4, '0') as flight_id,
        carrier,
        flight as flight_number,
        tailnum,
        origin,
        dest,
        origin || '-' || dest as route,
        date_trunc('hour', time_hour) + to_minutes(minute) as scheduled_departure_at,
        hour as scheduled_hour,
        (60 * hour) + minute as scheduled_minute_of_day,
        distance as distance_miles,
        dep_time is not null as has_departed,
        dep_delay as departure_delay_minutes,
        arr_delay as arrival_delay_minutes,
        air_time as air_minutes,
        partition
    from flights
)

select * from final
