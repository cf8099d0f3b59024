with flights as (
    select * from {{ ref('stg_flights') }}
    where {{ in_range('partition') }}
),

planes as (
    select * from {{ ref('stg_planes') }}
),

final as (
    select
        flights.flight_id,
        flights.scheduled_departure_at as event_timestamp,
        flights.partition::timestamp at time zone '{{ var("time_zone") }}' as created_timestamp,
        flights.carrier as flight_carrier,
        flights.origin as flight_origin,
        flights.dest as flight_dest,
        flights.scheduled_hour,
        flights.scheduled_minute_of_day,
        isodow(flights.partition) as scheduled_weekday,
        count(*) over (
            partition by flights.origin, flights.partition, flights.scheduled_hour
        ) as scheduled_departures_same_hour,
        flights.distance_miles,
        year(flights.partition) - planes.built_year as plane_age_years,
        planes.seat_count as plane_seats,
        planes.engine_count as plane_engines,
        planes.manufacturer as plane_manufacturer,
        flights.partition
    from flights
    left join planes on flights.tailnum = planes.tailnum
)

select * from final
