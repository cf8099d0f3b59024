with planes as (
    select * from {{ raw('planes') }}
),

final as (
    select
        tailnum,
        year as built_year,
        manufacturer,
        model as plane_model,
        engine as engine_type,
        engines as engine_count,
        seats as seat_count
    from planes
)

select * from final
