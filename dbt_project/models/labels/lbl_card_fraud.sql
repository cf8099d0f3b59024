with payments as (
    select * from {{ ref('stg_card_payments') }}
    where {{ in_range('partition') }} and partition >= date '{{ var("card_history_since") }}'
),

confirmations as (
    select * from {{ ref('int_card_confirmations') }}
),

final as (
    select
        payments.transaction_id,
        payments.customer_id,
        payments.terminal_id,
        payments.event_timestamp,
        confirmations.is_fraud,
        confirmations.event_timestamp as label_available_at,
        payments.partition
    from payments
    left join confirmations on payments.transaction_id = confirmations.transaction_id
)

select * from final
