with payments as (
    select * from {{ ref('stg_card_payments') }}
    where {{ in_range('partition') }}
),

final as (
    select
        transaction_id,
        event_timestamp,
        event_timestamp as created_timestamp,
        amount as payment_amount,
        channel as payment_channel,
        hour(event_timestamp) as payment_hour,
        isodow(event_timestamp) as payment_weekday,
        (hour(event_timestamp) < 6)::bigint as is_at_night,
        partition
    from payments
)

select * from final
