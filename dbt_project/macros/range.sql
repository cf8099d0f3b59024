{#-
    The range of partitions a build is about, and how far a model may read back behind it.
    Dates are ISO strings; `none` means no bound. A bound is always a comparison with the `partition` column,
    so DuckDB opens the Parquet files of the range and no others.
-#}

{% macro range_start() -%}
    {{ return(var('start', none)) }}
{%- endmacro %}

{% macro range_end() -%}
    {{ return(var('end', none)) }}
{%- endmacro %}

{# The rows this build (re)writes: start <= column < end. #}
{% macro in_range(column='partition') -%}
    {{ return(between_days(column, range_start(), range_end(), 0)) }}
{%- endmacro %}

{# The rows this build may read: as in_range, and some days before the start. The same number stands in the model's
   meta as `lookback_days`: whoever corrects a day knows from it how many days after it change. #}
{% macro in_lookback(column='partition', days=var('history_lookback_days')) -%}
    {{ return(between_days(column, range_start(), range_end(), days)) }}
{%- endmacro %}

{% macro between_days(column, start, end, days_back) -%}
    {%- set bounds = [] -%}
    {%- if start -%}
        {%- set first = "date '" ~ start ~ "'" -%}
        {%- do bounds.append(column ~ " >= " ~ (first ~ " - " ~ days_back if days_back else first)) -%}
    {%- endif -%}
    {%- if end -%}{%- do bounds.append(column ~ " < date '" ~ end ~ "'") -%}{%- endif -%}
    {{ return(bounds | join(" and ") if bounds else "true") }}
{%- endmacro %}
