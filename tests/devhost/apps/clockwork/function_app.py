# The SDK's decorators are untyped.
# mypy: disable-error-code="untyped-decorator,no-untyped-def"
"""An app of timer triggers, all due once a year."""

import os
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()


def _note(text: str) -> None:
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(text + "\n")


@app.timer_trigger(arg_name="timer", schedule="%YEARLY%", run_on_startup=True)
def at_startup(timer: func.TimerRequest) -> None:
    _note(f"at_startup {timer.past_due}")


@app.timer_trigger(arg_name="timer", schedule="%YEARLY%")
def yearly(timer: func.TimerRequest) -> None:
    _note(f"yearly {timer.past_due}")


@app.timer_trigger(arg_name="timer", schedule="%YEARLY%", use_monitor=False)
def forgetful(timer: func.TimerRequest) -> None:
    _note(f"forgetful {timer.past_due}")


@app.timer_trigger(arg_name="timer", schedule="%YEARLY%")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00")
def stubborn(timer: func.TimerRequest, context: func.Context) -> None:
    _note(f"stubborn retry {context.retry_context.retry_count}")
    raise ValueError("never")
