"""What models do with files: their own, and those of other libraries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from evengrad._common.serialized import serialize
from evengrad.models._from_sklearn import model_of_estimator
from evengrad.models._network import Network, view_of
from evengrad.models._onnx._export import export
from evengrad.models._onnx._from_onnx import from_onnx
from evengrad.models._weights._load import load_weights
from evengrad.models._weights._save import save_weights

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from evengrad.models._model import Model
    from evengrad.models._weights._report import LoadReport


class Files(Network):
    """The methods of models that write files and read them."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole model to one file: architecture, variables, and how training stands.

        The file is a safetensors file with a description and checksums in its header. It is
        written beside its place and moved there when it is complete: a crash leaves the old file or
        the new one, and what a killed process left beside it goes with the next save.
        Models inside the model come back as such, and a layer that several places share is shared
        again.

        Parameters
        ----------
        path
            The file; by custom it ends in ``.safetensors``. One that ends in ``.keras`` is written
            for Keras, 3.0 and later: the layers, the weights, and loss, metrics and optimizer with
            its state as far as Keras has them; `Model.from_keras` reads it.

        Raises
        ------
        ValueError
            The model has not been built, a part of it cannot be described, two variables have the
            same path, or the file has the suffix of another format, such as ``.h5`` or ``.onnx``;
            for Keras, a layer that it has not.
        OSError
            The file cannot be written, or the path is a folder, a pipe, a socket or a device; an
            older file is untouched.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(2)])
        >>> model.save("net.safetensors")
        >>> same = eg.load_model("net.safetensors")
        >>> bool((same.predict(np.ones((1, 4))) == model.predict(np.ones((1, 4)))).all())
        True
        """
        view_of(self).write(path)

    @classmethod
    def from_keras(
        cls,
        path: str | os.PathLike[str],
        custom_objects: Mapping[str, Any] | None = None,
        *,
        compile: bool = True,
    ) -> Model:
        """Read a model out of a ``.keras`` file, as Keras 2.12 and later write them.

        Sequential and functional models of layers that there are here, also models inside models
        and layers with several places. Nothing of the file is run, and Keras is not needed.

        Parameters
        ----------
        path
            The file.
        custom_objects
            Your own layers, losses, metrics and functions by the names that they have in the file.
            A layer takes the arguments that Keras' `get_config` wrote, and the arrays in the order
            in which it makes its variables, those that train first; layers inside it are not read.
        compile
            Whether loss, metrics and optimizer are taken over too, where there are such here; with
            the optimizer's state, if its arrays are those that Keras' configuration speaks of.

        Returns
        -------
        Model
            A `Sequential`, or a `Model` that was drawn. Layers and models keep their names.

        Raises
        ------
        FileFormatError
            The file is damaged or no ``.keras`` file; a layer, an argument or an activation has no
            counterpart here, which the message names; weights are quantised.
        OSError
            The file cannot be read.

        Warns
        -----
        UserWarning
            Something that changes no output could not be taken over, such as a metric.

        Notes
        -----
        Weights of half precision become float32, in which they are exact. A mean over the squares
        of Keras' ``Normalization`` that is 0 counts as 1 here. Dropout goes on with a stream of its
        own: Keras' files hold none.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu"), eg.layers.Dense(2)])
        >>> model.save("net.keras")
        >>> same = eg.Model.from_keras("net.keras")
        >>> x = np.ones((1, 4))
        >>> bool((same.predict(x, verbose=0) == model.predict(x, verbose=0)).all())
        True
        """
        # Who reads no files of Keras' needs none of it.
        from evengrad.models._keras._from_keras import from_keras

        return from_keras(path, custom_objects or {}, compile=compile)

    def to_json(self, **arguments: Any) -> str:
        """Return the model's architecture as JSON, without values and settings of `compile`.

        `models.model_from_json` makes a model of it.

        Parameters
        ----------
        **arguments
            What ``json.dumps`` takes, such as ``indent``.

        Raises
        ------
        ValueError
            A part of the model cannot be described.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3)])
        >>> eg.models.model_from_json(model.to_json(indent=1)).count_params()
        15
        """
        return json.dumps(serialize(self), **arguments)

    def save_weights(self, path: str | os.PathLike[str], layout: str = "keras") -> None:
        """Write all variables to a file: safetensors, NumPy's ``.npz``, Keras' ``.weights.h5``.

        Parameters
        ----------
        path
            The file; one that ends in ``.npz`` is an archive of NumPy's; one that ends in
            ``.weights.h5`` is for ``load_weights`` of a Keras model of the same structure; others
            are safetensors files, which by custom end in ``.safetensors``.
        layout
            ``"keras"``: as the variables are, under their paths. ``"torch"``: what
            ``load_state_dict`` of a module of the same structure takes: kernels (out, in),
            PyTorch's order of gates, a second bias of zeros in recurrent layers. Names are then
            those that ``nn.Sequential`` gives to the layers of a chain, where the normalization and
            the activation of a layer count as modules (``Dense(3, "relu"), Dense(2)`` has
            ``0.weight`` and ``2.weight``). Where all layers of a chain that have variables were
            given names, and in other models, they are the paths, with dots: the names of
            attributes.

        Raises
        ------
        ValueError
            The model has not been built; the file has the suffix of another format; in PyTorch's
            layout, a layer that computes otherwise there, such as ``GRU(reset_after=False)``.
        OSError
            The file cannot be written; an older one is untouched.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu"), eg.layers.Dense(2)])
        >>> model.save_weights("weights.safetensors")
        >>> model.load_weights("weights.safetensors").missing
        []
        >>> model.save_weights("torch.npz", layout="torch")
        >>> {name: array.shape for name, array in np.load("torch.npz").items()}
        {'0.weight': (3, 4), '0.bias': (3,), '2.weight': (2, 3), '2.bias': (2,)}
        """
        save_weights(view_of(self).public, path, layout)

    def load_weights(
        self,
        path: str | os.PathLike[str] | Any,
        pattern: Any = None,
        mapping: Mapping[str, str | None] | Callable[[str], str | None] | None = None,
        strict: bool = True,
        layout: str = "auto",
    ) -> LoadReport:
        """Take variables from a file of `save_weights` or `save`, or from another library's.

        Safetensors files, also in PyTorch's or Keras' layout; NumPy's ``.npz``; PyTorch's ``.pt``,
        ``.pth`` and ``.ckpt``, of which nothing is run; Keras' ``.weights.h5``, ``.keras`` and
        older ``.h5``; ONNX' ``.onnx``, by what the graph does with them, whatever they are called.
        The first bytes say what another file is. Arrays are paired with variables by their names;
        where no name fits, by their order and shapes, if there is but one way, which the report
        says; those of Keras' files by the structure of the model, as Keras pairs them. Kernels of
        other layouts are transposed, gates of recurrent layers brought into order, two biases
        added.

        Checksums are compared where the file has them. Floating-point numbers of another size
        become those of the variable, as in Keras and PyTorch.

        Parameters
        ----------
        path
            The file; or a fitted `MLPClassifier` or `MLPRegressor` of scikit-learn.
        pattern
            The variables to load, others stay as they are: a name or glob of paths or of their
            beginnings (``"dense"``, ``"hidden_*"``), a regular expression that is searched in the
            paths, or a list of these.
        mapping
            For names in the file those in the model, of arrays or of layers, as a dict or a
            function of a name; None leaves an array out. What it does not name keeps its name.
        strict
            Whether a variable without values, or an array without a variable, is an error. If not,
            what fits is loaded.
        layout
            ``"keras"``, kernels (in, out), which is ours too; ``"torch"``, (out, in); or
            ``"auto"``: by names and shapes.

        Returns
        -------
        LoadReport
            What became of each name.

        Raises
        ------
        FileFormatError
            The file is damaged; or, with `strict`, a variable is missing, unknown, of another
            shape; or its array holds no floating-point numbers. Nothing is changed.
        ValueError
            The model has not been built; the pattern matches nothing; the mapping names what is not
            there.
        OSError
            The file cannot be read.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((3,)), eg.layers.Dense(2)], seed=1)
        >>> model.save_weights("net.safetensors")
        >>> other = eg.Sequential([eg.Input((3,)), eg.layers.Dense(2)], seed=2)
        >>> print(other.load_weights("net.safetensors"))
        2 variables loaded
          dense/kernel <- dense/kernel
          dense/bias   <- dense/bias

        A matrix and a vector of no such names, out of NumPy:

        >>> np.savez("net.npz", W=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], b=[7.0, 8.0, 9.0])
        >>> net = eg.Sequential([eg.Input((2,)), eg.layers.Dense(3, "relu")])
        >>> net.load_weights("net.npz").by_order
        ['dense/kernel', 'dense/bias']
        >>> net.predict([[10.0, 11.0]], verbose=0).tolist()
        [[61.0, 83.0, 105.0]]
        """
        return load_weights(
            view_of(self).public, path, pattern, mapping, strict=strict, layout=layout
        )

    def export(
        self,
        path: str | os.PathLike[str],
        format: str = "onnx",
        *,
        fold_batch_norm: bool = False,
        dtype: Any = "float32",
    ) -> None:
        """Write what the model computes in inference as an ONNX file, for other runtimes.

        The file is one graph of operators for any number of rows, with all weights in it; inputs
        and outputs have the names that the model's have. Dropout, noise and augmentation are left
        out. It is checked by `onnx.checker` before it is written. `Model.from_onnx` reads it, but
        it holds nothing of the training: to go on, `save` the model. Needs ``evengrad[onnx]``.

        In ONNX Runtime the logistic function of float32 is exactly 0 from about −18 down, so that
        its logarithm is infinite: where small probabilities count, export a model of the logits.

        Parameters
        ----------
        path
            The file, which ends in ``.onnx``.
        format
            ``"onnx"``, the only one.
        fold_batch_norm
            Whether the graph is that of `fold_batch_norm`, with fewer operators.
        dtype
            ``"float32"``, or ``"float64"`` where ONNX Runtime computes all operators in it. The
            attributes of operators are float32 in any case.

        Raises
        ------
        ValueError
            The model is not built; another format or suffix; a layer whose `call` is code that
            cannot be drawn, or was drawn with ``training=True``; a function or an operator that
            ONNX or its runtime has not; more than 2 GiB of weights.
        ImportError
            The package `onnx` is missing.
        OSError
            The file cannot be written; what was there is still there.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu"), eg.layers.Dense(2)])
        >>> model.export("net.onnx")
        >>> eg.Model.from_onnx("net.onnx").output_shape
        (None, 2)

        In ONNX Runtime::

            session = onnxruntime.InferenceSession("net.onnx")
            (y,) = session.run(None, {"input": x.astype("float32")})
        """
        view = view_of(self)
        names = view.input_names or ["input"]
        export(view.public, names, path, format, fold_batch_norm=fold_batch_norm, dtype=dtype)

    @staticmethod
    def from_onnx(path: str | os.PathLike[str], outputs: Any = None) -> Model:
        """Return a model that computes what an ONNX file does, with the file's weights.

        Operators are read by what the graph does with them: of files of `export`, of PyTorch's
        exporters, skl2onnx and Keras those whose operators are layers here. Functions that are
        written as several operators become one layer, a dense layer takes the activation behind it.
        What no layer computes is refused by name, as are attributes. The first dimension is that of
        the rows, whatever number of them the file speaks of. Needs ``evengrad[onnx]``.

        The model is not compiled. Nothing of the file runs; it takes no more memory than a few
        times its size, and the weights that it names in files beside it must be in its folder.

        Parameters
        ----------
        path
            The file.
        outputs
            Which of the file's outputs the model is to have, by place or name, or a list; all by
            default. Of a classifier of skl2onnx the labels are first, the shares second:
            ``outputs=1``.

        Returns
        -------
        Model
            A `Sequential` where the graph is a chain.

        Raises
        ------
        FileFormatError
            The file is damaged, or has what no layer here computes; the message names the operator.
        ValueError
            There is no such output.
        ImportError
            The package `onnx` is missing.
        OSError
            The file cannot be read.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu"), eg.layers.Dense(2)])
        >>> model.export("net.onnx")
        >>> eg.Model.from_onnx("net.onnx").layers
        [Dense(3, activation='relu', name='dense'), Dense(2, name='dense_1')]
        """
        return from_onnx(path, outputs)

    @staticmethod
    def from_sklearn(estimator: Any, dtype: str | None = None) -> Model:
        """Return a model that computes what a fitted `MLPClassifier` or `MLPRegressor` does.

        A `Sequential` of `Dense` layers with the estimator's weights and activations. A classifier
        of two classes has one output, the probability of the second; of more, one for each, by
        softmax; for several labels at once, one for each, by the sigmoid. The model is not
        compiled: to go on training it, choose a loss that fits, ``"binary_crossentropy"``,
        ``"sparse_categorical_crossentropy"`` or ``"mse"``.

        To load an estimator's weights into a model that is there, pass it to `load_weights`. Of an
        estimator of `evengrad.sklearn` it is a copy of its ``model_``, compiled as that is.

        Parameters
        ----------
        estimator
            The estimator; classes of its kind that keep ``coefs_``, ``intercepts_`` and
            ``out_activation_`` will do.
        dtype
            ``"float32"`` or ``"float64"``; by default that of the estimator's weights, which is
            float64 unless it was trained on float32.

        Returns
        -------
        Model
            With `classes_` and `feature_names_in_` of the estimator.

        Raises
        ------
        TypeError
            Something else than such an estimator.
        ValueError
            The estimator is not fitted, or has an unknown activation.

        Examples
        --------
        >>> from sklearn.neural_network import MLPClassifier
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(200, 4))
        >>> y = np.array(["low", "high"])[(x[:, 0] > 0).astype(int)]
        >>> mlp = MLPClassifier(hidden_layer_sizes=(8,), solver="lbfgs", max_iter=2000).fit(x, y)
        >>> model = eg.Model.from_sklearn(mlp)
        >>> model.layers
        [Dense(8, activation='relu'), Dense(1, activation='sigmoid')]
        >>> p = model.predict(x, verbose=0)[:, 0]
        >>> bool(np.allclose(p, mlp.predict_proba(x)[:, 1]))
        True
        >>> bool((model.classes_[(p > 0.5).astype(int)] == mlp.predict(x)).all())
        True
        """
        return model_of_estimator(estimator, dtype)
