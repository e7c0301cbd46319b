"""The monitor app."""

from pathlib import Path

from tests.apps.service import Service
from tests.apps.serving import serve, start, steps
from tests.devhost.running import wait_until


def test_it_polls_until_the_weather_is_clear_or_the_time_is_over(tmp_path: Path) -> None:
    with Service() as service:
        service.answers["/weather?location=Rome"] = {"conditions": "rain"}
        urls = {"WEATHER_URL": f"{service.url}/weather", "SMS_URL": f"{service.url}/sms"}
        with serve("monitor", tmp_path, **urls, POLLING_SECONDS="0.05") as host:
            start(host, "E3_Monitor", "rome", {"location": "Rome", "phone": "+1"})
            wait_until(lambda: len(service.asked) >= 3, "the third look at the weather")
            assert host.status("rome")["runtimeStatus"] == "Running"
            service.answers["/weather?location=Rome"] = {"conditions": "clear"}
            assert host.wait_for("rome") == "alerted"
            assert service.posted("/sms") == [{"to": "+1", "body": "The weather in Rome is clear!"}]
            found = steps(host, "rome")
            looks = found.count("TaskCompleted E3_GetIsClear")
            assert looks == len(service.asked)
            assert found.count("TimerFired") == looks - 1
            start(host, "E3_Monitor", "nowhere", {})
            assert "a location and a phone are required" in host.wait_for("nowhere", "Failed")


def test_a_monitor_expires(tmp_path: Path) -> None:
    with Service() as service:
        service.answers["/weather"] = {"conditions": "rain"}
        urls = {"WEATHER_URL": f"{service.url}/weather", "SMS_URL": f"{service.url}/sms"}
        with serve("monitor", tmp_path, **urls, POLLING_SECONDS="0.1", EXPIRY_SECONDS="0.15") as host:
            start(host, "E3_Monitor", "m", {"location": "Rome", "phone": "+1"})
            assert host.wait_for("m") == "expired"
            assert service.posted("/sms") == []
