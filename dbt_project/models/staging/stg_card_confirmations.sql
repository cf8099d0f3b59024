with confirmations as (
    select * from {{ raw('card_confirmations') }}
),

final as (
    select
        transaction_id,
        terminal_id,
        is_fraud,
        confidence,
        confirmed_at as event_timestamp,
        partition
    from confirmations
)

select * from final
