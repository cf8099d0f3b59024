{#-
    The range of partitions a build is about, and how far a model may read back behind it.
    Dates are ISO strings; `none` means no bound. A bound is always a comparison with the `partition` column,
    so DuckDB opens the Parquet files of the range and no others.
-#}

{# One bound, empty if there is none. A unit test has the range that it states itself, whatever is being built. #}
{% macro range_bound(name) -%}
    {%- if model is defined and model.resource_type == 'unit_test' -%}
        {{ ((model.overrides or {}).vars or {}).get(name) or '' }}
    {%- else -%}
        {{ var(name, none) or '' }}
    {%- endif -%}
{%- endmacro %}

{# The rows this build (re)writes: start <= column < end. #}
{% macro in_range(column='partition') -%}
    {{ between_days(column, range_bound('start'), range_bound('end'), 0) }}
{%- endmacro %}

{# The rows this build may read: as in_range, and some days before the start. The same number stands in the model's
   meta as `lookback_days`: whoever corrects a day knows from it how many days after it change. #}
{% macro in_lookback(column='partition', days=none) -%}
    {{ between_days(column, range_bound('start'), range_bound('end'), days or var('history_lookback_days')) }}
{%- endmacro %}

{% macro between_days(column, start, end, days_back) -%}
    {%- if start -%}
        {{ column }} >= date '{{ start }}'{{ " - " ~ days_back if days_back }}
    {%- endif -%}
    {{ " and " if start and end }}
    {%- if end -%}
        {{ column }} < date '{{ end }}'
    {%- endif -%}
    {{ "true" if not start and not end }}
{%- endmacro %}
