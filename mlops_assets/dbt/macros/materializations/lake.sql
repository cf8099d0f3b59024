{#-
    materialized: lake

    The model becomes Parquet in the lake, one file per partition, and a view of its name over those files:
        $MLOPS_HOME/lake/<lake_folder>/<model>/partition=2013-01-01/data.parquet
    The model selects a DATE column `partition`, which names the file and is not stored inside it. Partitions in the
    range (vars `start`, `end`) are replaced whole; one that has no rows any more goes away; nothing outside the
    range is touched. Files are written beside the lake first and renamed one by one, so a reader sees a whole
    old or a whole new partition whenever the process dies. The work is done in mlops_assets/dbt_plugin.py.
-#}
{% materialization lake, adapter='duckdb' %}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set existing_relation = load_cached_relation(this) -%}
    {%- set folder = lake_root() ~ '/' ~ config.require('lake_folder') ~ '/' ~ this.identifier -%}
    {%- set pattern = exact(folder) ~ '/*/data.parquet' -%}
    {%- set meta = config.get('meta', {}) -%}
    {%- set keys = meta.get('feature_view', meta.get('label', {})) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% do adapter.store_relation('lake', target_relation, [], folder, 'parquet', {
        'sql': sql,
        'model': this.identifier,
        'range_filter': in_range(),
        'start': range_bound('start') or none,
        'end': range_bound('end') or none,
        'order_by': [keys.get('timestamp', 'event_timestamp')] + keys.get('entities', [keys.get('entity')]),
    }) %}

    {% if existing_relation is not none and not existing_relation.is_view %}
        {{ drop_relation_if_exists(existing_relation) }}
    {% endif %}
    {% if lake_is_empty(pattern) %}
        {%- set view_sql = no_rows(adapter.get_column_schema_from_query(sql)) -%}
    {% else %}
        {%- set view_sql = "select * from read_parquet(" ~ sql_text(pattern)
            ~ ", hive_partitioning = true, hive_types = {'partition': date})" -%}
    {% endif %}
    {% call statement('main') -%}
        create or replace view {{ target_relation }} as ({{ view_sql }});
    {%- endcall %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(target_relation, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
