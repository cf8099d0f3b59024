{#-
    Data tests read the built range only. A generic test on a model (or source) whose YAML declares a column
    named `partition` gets the range as its filter, so one more day is tested at the cost of a day. Keys hold the
    partition's day or determine it, so a test that is true of every range is true of the whole.
-#}
{% macro get_where_subquery(relation) -%}
    {%- set conditions = [] -%}
    {%- if config.get('where', '') -%}{%- do conditions.append(config.get('where')) -%}{%- endif -%}
    {%- if execute and model.get('attached_node') -%}
        {%- set tested = graph.nodes.get(model.attached_node) or graph.sources.get(model.attached_node) -%}
        {%- if tested and 'partition' in tested.columns and (range_bound('start') or range_bound('end')) -%}
            {%- do conditions.append(in_range()) -%}
        {%- endif -%}
    {%- endif -%}
    {%- if conditions -%}
        {{ return("(select * from " ~ relation ~ " where " ~ conditions | join(" and ") ~ ") as dbt_subquery") }}
    {%- endif -%}
    {{ return(relation) }}
{%- endmacro %}
