import json
import logging
import os
import pathlib
import shutil

import azure.durable_functions as df
import azure.functions as func

myApp = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@myApp.route(route="orchestrators/{functionName}", methods=["POST"])
@myApp.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client):
    body = req.get_body()
    instance_id = await client.start_new(
        req.route_params["functionName"], req.params.get("instanceId"), json.loads(body) if body else None
    )
    logging.info(f"Started orchestration with ID = '{instance_id}'.")
    return client.create_check_status_response(req, instance_id)


@myApp.orchestration_trigger(context_name="context")
def E2_BackupSiteContent(context: df.DurableOrchestrationContext):
    root_directory: str = context.get_input()
    if not root_directory:
        raise Exception("A directory path is required as input")

    files = yield context.call_activity("E2_GetFileList", root_directory)
    tasks = [context.call_activity("E2_CopyFileToBlob", file) for file in files]
    results = yield context.task_all(tasks)
    return sum(results)


@myApp.activity_trigger(input_name="rootDirectory")
def E2_GetFileList(rootDirectory):
    return sorted(str(path) for path in pathlib.Path(rootDirectory).rglob("*") if path.is_file())


@myApp.activity_trigger(input_name="filePath")
def E2_CopyFileToBlob(filePath):
    folder, name = pathlib.Path(filePath).parts[-2:]
    container = pathlib.Path(os.environ["BACKUP_FOLDER"])
    container.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(filePath, container / f"{folder}_{name}")
    return os.path.getsize(filePath)
