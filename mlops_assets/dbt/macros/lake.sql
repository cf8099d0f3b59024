{#- Where the lake is and how models read it. -#}

{% macro lake_root() -%}
    {{ return(env_var('MLOPS_HOME', '../.mlops') ~ '/lake') }}
{%- endmacro %}

{# A text as an SQL string: the path of a home may hold a quote. #}
{% macro sql_text(text) -%}
    {{ return("'" ~ (text | replace("'", "''")) ~ "'") }}
{%- endmacro %}

{# A folder as DuckDB's readers take it in a pattern: characters of patterns in the path of a home stand for themselves. #}
{% macro exact(folder) -%}
    {{ return(folder | replace('[', '[[]') | replace('*', '[*]') | replace('?', '[?]')) }}
{%- endmacro %}

{% macro lake_is_empty(pattern) -%}
    {{ return(run_query("select count(*) from glob(" ~ sql_text(pattern) ~ ")").rows[0][0] == 0) }}
{%- endmacro %}

{# A raw table, or zero rows of its declared types as long as nothing has landed (read_parquet refuses an empty
   glob, and a source that is not required must not stop the others). #}
{% macro raw(name) -%}
    {%- set relation = source('raw', name) -%}
    {%- if execute and nothing_landed(name) -%}
        {%- set table = graph.sources.values() | selectattr('source_name', 'eq', 'raw')
            | selectattr('name', 'eq', name) | first -%}
        ({{ no_rows(table.columns.values()) }})
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}

{% macro nothing_landed(name) -%}
    {%- set folder = exact(lake_root()) ~ '/raw/' ~ name -%}
    {{ return(lake_is_empty(folder ~ '/data.parquet') and lake_is_empty(folder ~ '/*/data*.parquet')) }}
{%- endmacro %}

{# Zero rows with names and types; columns carry `name` and `data_type`. #}
{% macro no_rows(columns) -%}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.append("cast(null as " ~ column.data_type ~ ") as " ~ '"' ~ column.name | replace('"', '""') ~ '"') -%}
    {%- endfor -%}
    {{ return("select " ~ parts | join(", ") ~ " where false") }}
{%- endmacro %}
