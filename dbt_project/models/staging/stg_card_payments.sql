with payments as (
    select * from {{ raw('card_payments') }}
),

final as (
    select
        transaction_id,
        customer_id,
        terminal_id,
        channel,
        transaction_amount as amount,
        occurred_at as event_timestamp,
        partition
    from payments
)

select * from final
