"""One library in two versions: each step has its own, and the last step has none."""

from airflow_conda_flow import FlowSpec, conda, conda_base, step


@conda_base(libraries={"numpy": "1.26.4"})
class SklearnFlow(FlowSpec):
    """Fits the same model with two versions of scikit-learn and compares the slopes."""

    @step
    def start(self):
        """Make a line with a slope of three."""
        self.x = [[float(n)] for n in range(10)]
        self.y = [3.0 * n + 1.0 for n in range(10)]
        self.next(self.older, self.newer)

    @conda(libraries={"scikit-learn": "1.4.2"})
    @step
    def older(self):
        """Fit with scikit-learn 1.4.2."""
        import sklearn
        from sklearn.linear_model import LinearRegression

        self.version = sklearn.__version__
        self.slope = float(LinearRegression().fit(self.x, self.y).coef_[0])
        self.next(self.compare)

    @conda(libraries={"scikit-learn": "1.5.2"})
    @step
    def newer(self):
        """Fit with scikit-learn 1.5.2."""
        import sklearn
        from sklearn.linear_model import LinearRegression

        self.version = sklearn.__version__
        self.slope = float(LinearRegression().fit(self.x, self.y).coef_[0])
        self.next(self.compare)

    @step
    def compare(self, inputs):
        """Collect what both versions found."""
        self.slopes = {each.version: round(each.slope, 6) for each in inputs}
        self.merge_artifacts(inputs, exclude=["version", "slope"])
        self.next(self.end)

    @step
    def end(self):
        """Say it; scikit-learn is not in this step's environment."""
        try:
            import sklearn  # noqa: F401
        except ModuleNotFoundError as error:
            print(f"Here, {error}.")
        print(f"Slopes by version of scikit-learn: {self.slopes}")


if __name__ == "__main__":
    SklearnFlow()

dag = SklearnFlow.dag(schedule=None, tags=["example"])
