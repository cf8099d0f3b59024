{#-
    Rolling features over landings, used by every feat_*_history model, so that one definition holds for all.
    Three steps over one row per key and minute (landed_minute, flights, departure_delay_sum, arrival_delay_sum,
    late_flights): running totals, the totals before each window began, and their difference. That is
    the sum over the window, at a fifth of the cost of asking DuckDB for sixteen window sums (0.8 s against 3.7 s for a
    year of 286,000 minutes). Totals are whole numbers, so a day built alone and a year in one pass give equal bits.
    `windows` is {name: minutes}, such as {'1d': 1440}. A row sees landings up to and including its own minute, never a later one.
-#}

{# Whole minutes since 1970: windows over an integer are exact and know no clock changes. #}
{% macro minute_of(timestamp) -%}
    epoch({{ timestamp }})::bigint // 60
{%- endmacro %}

{# Totals per key up to this row (so_far) and up to the row before (before). #}
{% macro running_totals(key) -%}
    {%- set measures = ['flights', 'departure_delay_sum', 'arrival_delay_sum', 'late_flights'] -%}
    {%- set up_to_here = "over (partition by " ~ key ~ " order by landed_minute rows unbounded preceding)" -%}
    {
            {%- for measure in measures %}
            '{{ measure }}': (sum({{ measure }}) {{ up_to_here }})::bigint{{ "," if not loop.last }}
            {%- endfor %}
        } as so_far,
        {
            {%- for measure in measures %}
            '{{ measure }}': (sum({{ measure }}) {{ up_to_here }} - {{ measure }})::bigint{{ "," if not loop.last }}
            {%- endfor %}
        } as before
{%- endmacro %}

{# The totals from before each window's first row; a window of n minutes begins n minutes ago, inclusive. #}
{% macro window_starts(key, windows) -%}
    {%- for name, minutes in windows.items() %}
        first_value(before) over (
            partition by {{ key }} order by landed_minute
            range between {{ minutes }} preceding and current row
        ) as before_{{ name }}{{ "," if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# The features: count, mean delays in minutes and late rate for each window. #}
{% macro rolling_delays(prefix, windows) -%}
    {%- for name in windows %}
        {%- set flights = "(so_far.flights - before_" ~ name ~ ".flights)" %}
        {{ flights }} as {{ prefix }}_flights_{{ name }},
        (so_far.departure_delay_sum - before_{{ name }}.departure_delay_sum) / {{ flights }}
            as {{ prefix }}_departure_delay_mean_{{ name }},
        (so_far.arrival_delay_sum - before_{{ name }}.arrival_delay_sum) / {{ flights }}
            as {{ prefix }}_arrival_delay_mean_{{ name }},
        (so_far.late_flights - before_{{ name }}.late_flights) / {{ flights }}
            as {{ prefix }}_late_rate_{{ name }}{{ "," if not loop.last }}
    {%- endfor %}
{%- endmacro %}
