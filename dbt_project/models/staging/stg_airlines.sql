with airlines as (
    select * from {{ raw('airlines') }}
),

final as (
    select
        carrier,
        name as carrier_name
    from airlines
)

select * from final
