with confirmations as (
    select * from {{ ref('stg_card_confirmations') }}
),

-- What is less sure is wrong too often to be learned from, and to be judged by.
final as (
    select * from confirmations
    where confidence > {{ var('sure_above') }}
)

select * from final
