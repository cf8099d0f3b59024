import mlflow.pyfunc
import numpy as np

from mlops_assets.world.mlflow.model_folder import write_folder
from tests.serving.conftest import frame, make_model

NOW, BEFORE = "mlops_assets.world.mlflow.model_flavour", "mlops_assets.resources.model_flavour"


def test_a_model_whose_file_names_the_loader_as_it_was_called_before_loads(tmp_path):
    model = make_model(1)
    write_folder(tmp_path, model, run_id="r", model_id="m", signature_frame=None)
    described = (tmp_path / "MLmodel").read_text(encoding="utf-8")
    assert NOW in described
    (tmp_path / "MLmodel").write_text(described.replace(NOW, BEFORE), encoding="utf-8")
    found = mlflow.pyfunc.load_model(str(tmp_path)).predict(frame(20))
    assert np.array_equal(found, model.predict(frame(20)))
