{{ entity_history('stg_card_payments', 'customer_id', means=['amount'], windows=[1, 7, 30]) }}
