"""The composition root: what the Functions host loads."""

import azure.durable_functions as df

import activities.ending
import activities.register
import activities.run_session
import activities.signals
import activities.venue
import activities.watching
import entities.exposure
import entities.position
import orchestrators.fix_session
import orchestrators.order
import orchestrators.retrying
import orchestrators.signal_pipeline
import triggers.halts
import triggers.market_data
import triggers.orders
import triggers.session
import triggers.sweep
from storage.settings import settings
from trading.messages import prepare

prepare()
settings()  # wrong settings stop the start here, with a text that names each of them

app = df.DFApp()
for module in (
    activities.ending,
    activities.register,
    activities.run_session,
    activities.signals,
    activities.venue,
    activities.watching,
    entities.exposure,
    entities.position,
    orchestrators.fix_session,
    orchestrators.order,
    orchestrators.retrying,
    orchestrators.signal_pipeline,
    triggers.halts,
    triggers.market_data,
    triggers.orders,
    triggers.session,
    triggers.sweep,
):
    app.register_functions(module.bp)
