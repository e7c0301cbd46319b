"""What every lifecycle promises, whatever the venue does: asked of a game at each step, at rest and at its end.

What should be is worked out here from the spec and from what the game has told the order, not asked of the code that is
tried: but for the spec as amended, why a leg is being closed, and what the venue has refused too often.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from trading.commands import ReplaceOrder, WatchPrice
from trading.events import Event, PriceTouched, TradeBusted, TradeCorrected
from trading.identity import Role
from trading.lifecycles import is_finished
from trading.lifecycles.state import Closing, State, Verb, slot_name
from trading.orders import OrderType, Side
from trading.specs import (
    BracketSpec,
    Execution,
    FlattenSpec,
    IcebergSpec,
    Leg,
    MultiLegSpec,
    OcoSpec,
    OnLegFailure,
    OtoSpec,
    ScaleSpec,
    SingleSpec,
    TrailingSpec,
    TwapSpec,
)

if TYPE_CHECKING:
    from tests.trading.venue_model import Game, VenueOrder

ZERO = Decimal(0)
EXITS = (Role.STOP, Role.TAKE_PROFIT)
ADDING = (Role.ENTRY, Role.COMPLETION)


@dataclass(frozen=True)
class LegRules:
    """What a leg of the order is to be like."""

    symbol: str
    side: Side
    quantity: Decimal
    held: Decimal = ZERO
    stop: Decimal | None = None
    profit: Decimal | None = None
    is_protected: bool = False
    is_synthetic: bool = False
    entry_at: Decimal | None = None
    """Of an entry that is kept here: the price that it waits for."""


def legs(state: State) -> tuple[LegRules, ...]:
    """The rules of each leg, from the spec as amended."""
    match state.spec:
        case SingleSpec() as spec:
            at = spec.stop_price if spec.synthetic else None
            return (LegRules(spec.symbol, spec.side, spec.quantity, is_synthetic=spec.synthetic, entry_at=at),)
        case BracketSpec() as spec:
            return (_protected(spec, spec.side, spec.quantity, spec.stop_price, spec.take_profit_price),)
        case ScaleSpec() as spec:
            total = sum((rung.quantity for rung in spec.rungs), ZERO)
            return (_protected(spec, spec.side, total, spec.stop_price, spec.take_profit_price),)
        case TrailingSpec() as spec:
            held = spec.quantity if spec.entry_type is None else ZERO
            stop = state.legs[0].stop_price
            return (_protected(spec, spec.side, spec.quantity, stop, spec.take_profit_price, held),)
        case OcoSpec() as spec:
            return tuple(
                LegRules(
                    spec.symbol,
                    each.side,
                    each.quantity,
                    stop=each.exit_stop_price,
                    profit=each.exit_take_profit_price,
                    is_protected=each.exit_stop_price is not None,
                    is_synthetic=spec.synthetic,
                    entry_at=each.price if spec.synthetic and each.order_type is OrderType.STOP else None,
                )
                for each in spec.entries
            )
        case FlattenSpec() as spec:
            return (LegRules(spec.symbol, spec.side, ZERO, held=spec.quantity, is_protected=True),)
        case OtoSpec(orders=those) | MultiLegSpec(legs=those):
            return tuple(LegRules(each.symbol, each.side, each.quantity) for each in those)
        case TwapSpec() | IcebergSpec() as spec:
            return (LegRules(spec.symbol, spec.side, spec.quantity),)


def _protected(
    spec: BracketSpec | ScaleSpec | TrailingSpec,
    side: Side,
    quantity: Decimal,
    stop: Decimal | None,
    profit: Decimal | None,
    held: Decimal = ZERO,
) -> LegRules:
    entry_at = None
    if not isinstance(spec, ScaleSpec) and spec.synthetic and spec.entry_type is OrderType.STOP:
        entry_at = spec.entry_price
    return LegRules(
        spec.symbol,
        side,
        quantity,
        held,
        stop,
        profit,
        is_protected=True,
        is_synthetic=spec.synthetic,
        entry_at=entry_at,
    )


# What the game knows


def known_open(game: "Game", leg: int) -> Decimal:
    """What a leg holds by what we were told: above 0 on its entry's side."""
    rules = legs(game.state)[leg]
    total = rules.held
    for order in game.orders:
        if order.leg == leg:
            total += order.known_cum if order.side is rules.side else -order.known_cum
    return total


def true_open(game: "Game", leg: int) -> Decimal:
    """What a leg holds by what the venue has traded."""
    rules = legs(game.state)[leg]
    total = rules.held
    for order in game.orders:
        if order.leg == leg:
            total += order.cum if order.side is rules.side else -order.cum
    return total


def entered(game: "Game", leg: int, *roles: Role) -> Decimal:
    """What a leg's entries have filled by what we were told."""
    wanted = roles or (Role.ENTRY,)
    return sum((order.known_cum for order in game.orders if order.leg == leg and order.role in wanted), ZERO)


def has_trouble(game: "Game", leg: int, *verbs: Verb) -> bool:
    """Whether the venue has refused something of a leg: it is tried again, or a human has been told."""
    for order in game.orders:
        if order.leg != leg:
            continue
        for verb in verbs:
            hold = game.state.hold(verb, *order.slot)
            if hold is not None and hold.status != "ready":
                return True
    return False


# At each step


def check_step(game: "Game", before: State, event: Event) -> None:
    """After an event, and before what was commanded is carried out: whatever was reported is in the totals."""
    state = game.state
    if state.orders is not before.orders:
        may_fall = isinstance(event, TradeBusted | TradeCorrected)
        for was, now in zip(before.orders, state.orders, strict=False):
            assert may_fall or now.cum_quantity >= was.cum_quantity, f"{now.cl_ord_id}: what is filled fell"
        if [order.value for order in before.of(Role.ENTRY)] != [order.value for order in state.of(Role.ENTRY)]:
            game.asked_stop = None  # a trailing stop that has not moved yet follows what the entry has paid
    for order, known in zip(state.orders, game.orders, strict=False):
        assert order.cum_quantity == known.known_cum, (
            f"{known.name} has filled {order.cum_quantity}, and was told of {known.known_cum}"
        )
        assert order.is_open is known.known_open, f"{known.name} is {order.stage}, was told open={known.known_open}"


def check_waiting(game: "Game") -> None:
    """After what was commanded is carried out: what the order waits for is what was set for it."""
    state = game.state
    assert state.is_timed is ("valid_until" in game.timers), f"is_timed={state.is_timed}, set are {list(game.timers)}"
    for hold in state.holds:
        assert hold.status != "waiting" or f"retry_{hold.name}" in game.timers, f"{hold.name} waits for nothing"
    for number, rules in enumerate(legs(state)):
        if not rules.is_protected or state.legs[number].closing or known_open(game, number) <= ZERO:
            continue
        trails = isinstance(state.spec, TrailingSpec)
        if not rules.is_synthetic and not trails:
            continue
        watch = game.watches.get(rules.symbol)
        assert watch is not None, f"leg {number} holds something and waits for no price"
        assert (rules.symbol, watch.number) not in game.taken, f"leg {number} waits for a price that has come"
        assert rules.stop is not None, f"leg {number} holds something and has no stop"
        if rules.is_synthetic:
            near = watch.below if rules.side is Side.BUY else watch.above
            assert near is not None, f"leg {number} does not wait for its stop at {rules.stop}"
            assert rules.side.sign * (near - rules.stop) >= 0, (
                f"leg {number} waits for {near}, its stop is {rules.stop}"
            )


def check_watch(game: "Game", watch: WatchPrice) -> None:
    """A trailing stop that is kept here moves only towards the market, and by a step at least."""
    spec = game.spec
    if isinstance(spec, TrailingSpec) and spec.synthetic:
        stop = watch.below if spec.side is Side.BUY else watch.above
        if stop is not None:
            _check_trail(game, spec, stop)


def _check_trail(game: "Game", spec: TrailingSpec, stop: Decimal) -> None:
    last, game.asked_stop = game.asked_stop, stop
    if last is None or last == stop:
        return
    moved = spec.side.sign * (stop - last)
    assert moved > 0, f"the stop moves away from the market, from {last} to {stop}"
    assert moved >= max(spec.trail.step, spec.trail.tick), (
        f"the stop moves by less than its step, from {last} to {stop}"
    )


def beyond(game: "Game", touch: PriceTouched) -> set[tuple[int, Role]]:
    """Which orders that are kept here are to be sent at prices: leg and role; a stop's is sent as a close."""
    found: set[tuple[int, Role]] = set()
    for number, rules in enumerate(legs(game.state)):
        if rules.symbol != touch.symbol:
            continue
        sign, stop = rules.side.sign, rules.stop
        for price in touch.prices:
            if stop is not None and isinstance(game.spec, TrailingSpec):
                trailed = game.spec.trail.stop_for(price, rules.side)
                stop = trailed if sign * (trailed - stop) > 0 else stop
            if stop is not None and sign * (price - stop) <= 0:
                found.add((number, Role.STOP))
            if rules.profit is not None and sign * (price - rules.profit) >= 0:
                found.add((number, Role.TAKE_PROFIT))
            if rules.entry_at is not None and sign * (price - rules.entry_at) >= 0:
                found.add((number, Role.ENTRY))
    return found


# What is asked of the venue


def check_submit(game: "Game", order: "VenueOrder") -> None:
    """Before an order is sent: nothing else works in its slot, and it is for what it should be for."""
    rules = legs(game.state)[order.leg]
    assert order.quantity > 0, f"{order.name} for {order.quantity}"
    assert not any(each.slot == order.slot and each.known_open for each in game.orders), f"a second {order.name} works"
    check_patience(game, order, "submit")
    held = known_open(game, order.leg)
    if order.role in ADDING:
        assert order.side is rules.side, f"{order.name} on the wrong side"
        assert not (game.is_stopped and order.role is Role.ENTRY), f"{order.name} after the end of entries"
        assert not game.is_halted, f"{order.name} in a halted market"
        _check_room(game, order, order.quantity)
        if rules.entry_at is not None:
            assert (order.leg, Role.ENTRY) in game.beyond, f"{order.name} before its price was touched"
        return
    if order.role in EXITS:
        assert order.side is rules.side.opposite, f"{order.name} on the wrong side"
        assert order.quantity == held, f"{order.name} for {order.quantity}, held is {held}"
    if order.role is Role.CLOSE:
        closes = sum(each.role is Role.CLOSE for each in game.orders)
        assert closes < 30 * (1 + game.was_forgiving) + 10, "closed again and again"
        assert order.side is (rules.side.opposite if held > 0 else rules.side), f"{order.name} on the wrong side"
        assert order.quantity == abs(held), f"{order.name} for {order.quantity}, held is {held}"
        for each in game.orders:
            hurries = game.state.legs[order.leg].closing is Closing.STOP_TOUCHED
            refused = game.state.hold("cancel", *each.slot)
            stuck = each.role is Role.ENTRY and (hurries or (refused is not None and refused.failures >= 3))
            is_over = not each.known_open and not each.asked
            assert each.leg != order.leg or is_over or stuck, f"{order.name} while {each.name} works"
    if order.role is Role.STOP and isinstance(game.spec, TrailingSpec) and order.price is not None:
        _check_trail(game, game.spec, order.price)
    if rules.is_synthetic and rules.is_protected:
        assert order.role is not Role.STOP, "a stop is sent to a venue that has none"
        role = Role.STOP if order.role is Role.CLOSE else order.role
        touched = (order.leg, role) in game.beyond
        other_reason = game.state.legs[order.leg].closing not in (None, Closing.STOP_TOUCHED)
        assert touched or (role is Role.STOP and other_reason), f"{order.name} before its price was touched"


def check_patience(game: "Game", order: "VenueOrder", verb: Verb) -> None:
    """That what the venue has refused is not asked for again before its time."""
    hold = game.state.hold(verb, *order.slot)
    assert hold is None or hold.status == "ready", f"{verb} of {order.name} again while it is {hold.status}"


def check_replace(game: "Game", order: "VenueOrder", request: ReplaceOrder) -> None:
    """Before a replace is sent: what it leaves to trade is what it should."""
    check_patience(game, order, "replace")
    leaves = request.quantity - order.known_cum
    assert leaves > 0, f"{order.name} replaced to leave {leaves}"
    assert request.side is order.side
    assert request.order_type is order.order_type
    if order.role in EXITS:
        held = known_open(game, order.leg)
        assert leaves == held, f"{order.name} replaced to leave {leaves}, held is {held}"
    if order.role is Role.ENTRY:
        _check_room(game, order, request.quantity)
    known = game.state.latest(*order.slot)
    is_moved = known is not None and known.stop_price != request.stop_price  # else it is where the venue has put it
    if order.role is Role.STOP and isinstance(game.spec, TrailingSpec) and request.stop_price is not None and is_moved:
        _check_trail(game, game.spec, request.stop_price)


def _check_room(game: "Game", order: "VenueOrder", quantity: Decimal) -> None:
    """That orders of a leg never ask together for more than what the spec, or what it follows, allows."""
    spec = game.spec
    is_new = order not in game.orders
    grows = is_new or quantity > order.known_quantity
    others = [
        each
        for each in game.orders
        if each is not order
        and each.leg == order.leg
        and each.role in ADDING
        and (each.rung == order.rung or not isinstance(spec, ScaleSpec))
    ]
    follows = _follows(spec, order)
    asked = ZERO
    for each in others:
        if each.known_open:
            asked += max(each.known_quantity, each.known_cum)
        else:
            asked += each.known_cum
        if follows and _waits_for_its_retry(game, each) and isinstance(spec, OtoSpec | MultiLegSpec):
            # What its successor asks for is in lots; the rest is carried.
            asked += max(ZERO, each.known_quantity - each.known_cum) // spec.lot * spec.lot
    allowed = _allowed(game, order)
    if grows and quantity > order.known_cum:
        assert asked + quantity <= allowed, f"{order.name} for {quantity}, with {asked} asked for of {allowed}"
    if isinstance(spec, IcebergSpec):
        shown = quantity - order.known_cum + sum((each.known_leaves for each in others), ZERO)
        assert not grows or shown <= spec.display_quantity, f"shows {shown} of at most {spec.display_quantity}"
    if isinstance(spec, TwapSpec | IcebergSpec):
        assert not is_new or not any(each.known_open for each in others), "two slices work at a time"
    if follows:
        assert isinstance(spec, OtoSpec | MultiLegSpec)
        assert quantity >= spec.lot, f"{order.name} for {quantity}, less than the lot {spec.lot}"


def _waits_for_its_retry(game: "Game", order: "VenueOrder") -> bool:
    """Whether an order was rejected, and another one is to be sent in its place."""
    hold = game.state.hold("submit", *order.slot)
    is_last = order is [each for each in game.orders if each.slot == order.slot][-1]
    return is_last and not order.known_open and hold is not None and hold.status == "waiting"


def _check_entry(game: "Game", order: "VenueOrder") -> None:
    """An entry that works is still wanted; it and what has filled are together what is allowed, an overfill aside."""
    if game.is_silent or has_trouble(game, order.leg, "cancel", "replace"):
        return
    spec = game.spec
    assert not game.is_stopped, f"{order.name} works on after the end of entries"
    own = [
        each
        for each in game.orders
        if each.leg == order.leg
        and each.role in ADDING
        and (each.rung == order.rung or not isinstance(spec, ScaleSpec))
    ]
    asked = sum((each.quantity if each.is_open else each.cum for each in own), ZERO)
    allowed = _allowed(game, order)
    assert asked <= allowed, f"{order.name} works for {order.leaves}, with {asked} asked for of {allowed}"
    if isinstance(spec, IcebergSpec):
        assert order.leaves <= spec.display_quantity, f"{order.name} shows {order.leaves}"
    elif not isinstance(spec, TwapSpec):
        lot = spec.lot if isinstance(spec, OtoSpec | MultiLegSpec) and _follows(spec, order) else ZERO
        waits = any(_waits_for_its_retry(game, each) for each in own)
        assert waits or asked == allowed or allowed - Fraction(asked) < lot, (
            f"{order.name}: only {asked} asked for of {allowed}"
        )


def _allowed(game: "Game", order: "VenueOrder") -> Fraction:
    """What the orders of a leg may ask for together: exact, as a third is no decimal."""
    spec = game.spec
    if isinstance(spec, ScaleSpec):
        return Fraction(spec.rungs[order.rung].quantity)
    if isinstance(spec, OtoSpec | MultiLegSpec):
        those: tuple[Leg, ...] = spec.orders if isinstance(spec, OtoSpec) else spec.legs
        own = those[order.leg].quantity
        if order.role is Role.COMPLETION:
            return Fraction(own) * _share([entered(game, leg, *ADDING) for leg in range(len(those))], those)
        if _follows(spec, order):
            by = order.leg - 1 if isinstance(spec, OtoSpec) else 0
            return Fraction(own) * min(Fraction(1), Fraction(entered(game, by)) / Fraction(those[by].quantity))
        return Fraction(own)
    return Fraction(legs(game.state)[order.leg].quantity)


def _follows(spec: Any, order: "VenueOrder") -> bool:
    if order.role is not Role.ENTRY or not order.leg:
        return False
    return isinstance(spec, OtoSpec) or (isinstance(spec, MultiLegSpec) and spec.execution is Execution.LEAD_FOLLOW)


# At the end, and at rest


def check_finish(game: "Game") -> None:
    """When the order says that it is over: nothing works, as far as anybody can know, and nothing is unanswered."""
    for order in game.orders:
        assert not order.known_open, f"finished while {order.name} works"
        assert not order.is_open or order.outbox, f"finished while {order.name} works, and nothing says so"
        assert not order.asked, f"finished while a request about {order.name} is unanswered"
    for number, rules in enumerate(legs(game.state)):
        if rules.is_protected and not isinstance(game.spec, FlattenSpec):
            assert known_open(game, number) == 0, f"finished while leg {number} holds {known_open(game, number)}"


def check_quiet(game: "Game") -> None:
    """What has to hold when the venue has answered everything and everything was heard."""
    state = game.state
    assert game.is_quiet
    for order, own in zip(game.orders, state.orders, strict=True):
        if order.is_silent:
            continue
        assert own.is_open is order.is_open, f"{order.name} is {own.stage}, at the venue open={order.is_open}"
        assert own.leaves_quantity == order.leaves, f"{order.name} leaves {own.leaves_quantity}, truly {order.leaves}"
        assert not is_finished(state) or not order.is_open, f"finished, and {order.name} works"
    for slot in {order.slot for order in game.orders}:
        working = [order for order in game.orders if order.slot == slot and order.is_open]
        assert len(working) <= 1 or has_trouble(game, slot[1], "cancel"), f"two orders work as {slot_name(*slot)}"
    for number, rules in enumerate(legs(state)):
        if rules.is_protected or state.legs[number].closing:
            _check_exits(game, number, rules)
    for order in game.orders:
        # A completion, at market, is not worth taking back.
        if order.is_open and order.role is Role.ENTRY:
            _check_entry(game, order)
    _AT_REST.get(type(game.spec), _nothing)(game)


def _check_exits(game: "Game", leg: int, rules: LegRules) -> None:
    """A leg's exits are each for what is open; or it is being closed."""
    state, held = game.state, true_open(game, leg)
    own = [order for order in game.orders if order.leg == leg]
    if any(order.is_silent for order in own) or has_trouble(game, leg, "cancel", "replace"):
        return
    if state.legs[leg].closing:
        if isinstance(game.spec, FlattenSpec) and game.is_stopped and state.over != "halted":
            return
        working = [order.role for order in own if order.is_open]
        assert set(working) <= {Role.CLOSE}, f"leg {leg} is being closed while {working} work"
        is_tried = has_trouble(game, leg, "submit")
        assert not held or working or is_tried, f"leg {leg} holds {held}, and is neither protected nor being closed"
        return
    for order in own:
        if order.is_open and order.role in EXITS:
            assert order.leaves == held, f"{order.name} for {order.leaves}, held is {held}"
            price = rules.stop if order.role is Role.STOP else rules.profit
            terms = game.state.terms_of(*order.slot)
            is_venues = terms is not None and terms.is_answered
            assert is_venues or order.price == price, f"{order.name} at {order.price} instead of {price}"
    if held <= 0:
        assert held == 0, f"leg {leg} holds {held}"
        return
    if not rules.is_synthetic:
        assert any(order.role is Role.STOP and order.is_open for order in own), f"leg {leg} holds {held} without a stop"
        if rules.profit is not None and not has_trouble(game, leg, "submit"):
            took = any(order.role is Role.TAKE_PROFIT and order.is_open for order in own)
            assert took, f"leg {leg} holds {held} without a take-profit"


def _oco_at_rest(game: "Game") -> None:
    if entered(game, 0) and entered(game, 1):
        assert any(leg.closing for leg in game.state.legs), "both entries have traded, and neither is closed"
    for leg in (0, 1):
        if entered(game, 1 - leg) and not has_trouble(game, leg, "cancel") and not game.is_silent:
            both = any(each.closing is Closing.BOTH_FILLED for each in game.state.legs)
            working = any(order.is_open and order.role is Role.ENTRY and order.leg == leg for order in game.orders)
            assert not working or both, f"entry {leg} works on though the other one has traded"


def _nothing(_: "Game") -> None:
    return


_AT_REST: dict[type, Callable[["Game"], None]] = {OcoSpec: _oco_at_rest}


def check_end(game: "Game") -> None:
    """When all that could be done for its end was done."""
    if game.is_silent:
        return
    assert is_finished(game.state), f"it does not end: {game.state.holds}"
    assert not any(order.is_open for order in game.orders), "it has ended, and an order works"
    for number, rules in enumerate(legs(game.state)):
        if rules.is_protected or game.state.legs[number].closing:
            is_stopped = isinstance(game.spec, FlattenSpec) and game.state.over in ("canceled", "expired")
            assert is_stopped or true_open(game, number) == 0, f"leg {number} ends with {true_open(game, number)}"
    if isinstance(game.spec, MultiLegSpec):
        _check_ratio(game, game.spec)


def _check_ratio(game: "Game", spec: MultiLegSpec) -> None:
    """By policy: nothing is left, or the legs are in their ratio up to a lot."""
    if game.is_flattened:
        assert not any(true_open(game, leg) for leg in range(len(spec.legs))), (
            "closed by a human, and something is left"
        )
        return
    if spec.on_leg_failure is OnLegFailure.KEEP or game.state.over == "canceled":
        return
    held = [true_open(game, number) for number in range(len(spec.legs))]
    if not any(held):
        return
    most = _share(held, spec.legs)
    for quantity, leg in zip(held, spec.legs, strict=True):
        short = most * Fraction(leg.quantity) - Fraction(quantity)
        assert short < Fraction(spec.lot), f"ends with {held}: {leg.symbol} is short of its ratio by {short}"


def _share(filled: Sequence[Decimal], those: Sequence[Leg]) -> Fraction:
    """The share of its quantity that the leg which is furthest has, at most all of it: exact, as no decimal is."""
    shares = [Fraction(quantity) / Fraction(leg.quantity) for quantity, leg in zip(filled, those, strict=True)]
    return min(Fraction(1), max(shares))
