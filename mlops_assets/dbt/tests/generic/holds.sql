{#- Every claim is true of every row; a claim that is NULL (a value is missing) counts as true. -#}
{% test holds(model, claims) %}
select *
from {{ model }}
where
    {%- for claim in claims %}
    {{ "or " if not loop.first }}not ({{ claim }})
    {%- endfor %}
{% endtest %}
