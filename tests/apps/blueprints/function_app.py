import azure.durable_functions as df
import azure.functions as func
from durable_blueprints import bp

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(bp)


@app.function_name(name="Liveness-1")
@app.route(route="live", methods=["GET"])
def live(req: func.HttpRequest) -> str:
    return "alive"
