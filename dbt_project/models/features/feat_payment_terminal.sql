{{ entity_history('int_card_confirmations', 'terminal_id', means=['is_fraud'], windows=[1, 7, 28]) }}
