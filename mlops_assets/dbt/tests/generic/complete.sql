{#- None of the columns is NULL in any row. -#}
{% test complete(model, columns) %}
select *
from {{ model }}
where
    {%- for column in columns %}
    {{ "or " if not loop.first }}{{ column }} is null
    {%- endfor %}
{% endtest %}
