"""What Dagster alone needs: components, their assets, jobs and sensors. YAML names them `mlops_assets.components`."""
