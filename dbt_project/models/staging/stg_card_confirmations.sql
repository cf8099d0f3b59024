with confirmations as (
    select * from {{ raw('card_confirmations') }}
),

-- What is less sure is wrong too often to be learned from, and to be judged by.
final as (
    select
        transaction_id,
        terminal_id,
        is_fraud,
        confirmed_at as event_timestamp,
        partition
    from confirmations
    where confidence > {{ var('sure_above') }}
)

select * from final
