import json
import logging
import os
import urllib.request

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
def ProvisionNewDevices(context: df.DurableOrchestrationContext):
    device_IDs = yield context.call_activity("GetNewDeviceIds", context.get_input())

    # One flow for each device, side by side
    provisioning_tasks = []
    for id_, device_id in enumerate(device_IDs):
        child_id = f"{context.instance_id}:{id_}"
        provision_task = context.call_sub_orchestrator("DeviceProvisioningOrchestration", device_id, child_id)
        provisioning_tasks.append(provision_task)

    return (yield context.task_all(provisioning_tasks))


@myApp.orchestration_trigger(context_name="context")
def DeviceProvisioningOrchestration(context: df.DurableOrchestrationContext):
    device_id = context.get_input()

    # A package for this device, and where it is
    sas_url = yield context.call_activity("CreateInstallationPackage", device_id)

    # Tell the device where to fetch it
    yield context.call_activity("SendPackageUrlToDevice", {"id": device_id, "url": sas_url})

    # The device says when it has it
    yield context.wait_for_external_event("DownloadCompletedAck")

    return f"{device_id} is provisioned"


@myApp.activity_trigger(input_name="count")
def GetNewDeviceIds(count: int) -> list:
    return [f"device-{number}" for number in range(count)]


@myApp.activity_trigger(input_name="deviceId")
def CreateInstallationPackage(deviceId: str) -> str:
    return f"https://packages.example/{deviceId}.zip"


@myApp.activity_trigger(input_name="message")
def SendPackageUrlToDevice(message: dict) -> None:
    urllib.request.urlopen(os.environ["DEVICES_URL"], json.dumps(message).encode()).close()


# A flow that fails is tried again as a whole.


@myApp.orchestration_trigger(context_name="context")
def ProvisionStubbornDevice(context: df.DurableOrchestrationContext):
    retry_options = df.RetryOptions(int(os.environ["RETRY_MILLISECONDS"]), 3)
    try:
        result = yield context.call_sub_orchestrator_with_retry("ConnectDevice", retry_options, context.get_input())
        return result
    except Exception as error:
        return f"given up: {error}"


@myApp.orchestration_trigger(context_name="context")
def ConnectDevice(context: df.DurableOrchestrationContext):
    answer = yield context.call_activity("PingDevice", context.get_input())
    if answer != "pong":
        raise Exception(f"{context.get_input()} answered {answer}")
    return f"{context.get_input()} is connected"


@myApp.activity_trigger(input_name="deviceId")
def PingDevice(deviceId: str) -> str:
    with urllib.request.urlopen(f"{os.environ['DEVICES_URL']}?ping={deviceId}") as response:
        return json.load(response)["answer"]
