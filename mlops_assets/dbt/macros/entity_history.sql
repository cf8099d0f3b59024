{#-
    History of an entity, for a feature view over a staging model with `event_timestamp` and `partition`: one row per
    entity and event, true from just after the event on. So the row that is predicted never sees itself, and what
    is served between two events is the newest row's. `means` are numeric columns, `windows` days; the longest must
    be the view's `lookback_days`. A day built alone and a year in one pass give the same rows, means up to the last
    digits of a double.
-#}
{% macro entity_history(staging, entity, means, windows) -%}
with events as (
    select * from {{ ref(staging) }}
    where {{ in_lookback('partition', windows | max) }} and {{ entity }} is not null
),

history as (
    select distinct
        {{ entity }},
        event_timestamp + interval 1 microsecond as event_timestamp,
        event_timestamp + interval 1 microsecond as created_timestamp,
        {%- for days in windows %}
        count(*) over last_{{ days }} as {{ entity }}_events_{{ days }}d,
        {%- for column in means %}
        avg({{ column }}) over last_{{ days }} as {{ entity }}_{{ column }}_mean_{{ days }}d,
        {%- endfor %}
        {%- endfor %}
        partition
    from events
    window
        {%- for days in windows %}
        last_{{ days }} as (
            partition by {{ entity }} order by event_timestamp
            range between interval {{ days }} day preceding and current row
        ){{ "," if not loop.last }}
        {%- endfor %}
)

select * from history
where {{ in_range('partition') }}
{%- endmacro %}
