"""How a body presses on foam.

1. Which slice carries how much. Slices hang together by links (neighbours along a bone, bones at a joint, limbs
   that lie on one another) and stand on the foam, a bed of springs that push only (Winkler's foundation). With
   the slices' weights F, links L (a graph's Laplacian), springs k and gaps g under the slices, the sinking d solves
       L d + k max(0, d - g) = F
   and the loads are k max(0, d - g). The columns of L sum to 0, so the loads sum to the weight exactly; a slice in
   the air hands its weight to its neighbours as on a lever.
2. What the load looks like. A slice of length l whose underside has the curvature radius R sinks by delta into
   foam of stiffness c until it carries its load (Hertz' geometry on Winkler's foundation):
       load = 4/3 c l delta w,  w = sqrt(2 R delta)  half width of the contact,  pressure ~ 1 - (u/w)^2 across.
3. The foam's skin and the flesh blur this a little, the cover under tension (hammock) spreads a part of it widely.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.body import POINTS, STRANDS, Array, Body, Indices
from firmware_bridge.geometry import Grid
from firmware_bridge.posing import Placed, Pose
from firmware_bridge.sensor import blur_matrix

GRAVITY: Final = 9.81
FOAM_N_PER_CM3: Final = 0.08
"""Stiffness of a mattress' foam, 0.8 kPa a cm: 12 cm thick polyurethane of a modulus near 10 kPa."""
EDGE_CM: Final = 3.0
"""The dent is wider than the contact by this much (Pasternak's shear layer), so small parts sink relatively less."""
LINK_N_PER_CM: Final = 40.0
"""Between neighbouring slices of a limb or the trunk, and of a limb's root and the trunk."""
LINK_REACH: Final = 0.7
"""Neighbours are nearer than half their lengths and this share of their half breadths."""
TOUCH_N_PER_CM: Final = 20.0
"""Between slices of different limbs that lie on one another, fading over TOUCH_FADE_CM."""
TOUCH_FADE_CM: Final = 1.5
FLESH_CM: Final = 1.1
"""Standard deviation of the blur by skin, clothes and cover."""
HAMMOCK_SHARE: Final = 0.14
HAMMOCK_CM: Final = 6.0
WEDGE_CM: Final = 8.0
"""Standard deviation of the load that went through a wedge, and how far outwards it comes down."""
WEDGE_FROM_CM: Final = 4.0
"""Slices of the trunk this high above the mat lie wholly on the wedge."""
WEDGE_FILLS: Final = 0.9
"""Share of the gap that the wedge fills."""
RECLINED_CM: Final = (3.5, 1.0)
"""How far the lower and the upper back come off a bed raised by 60 degrees: pmd, files 15-17."""
PARABOLA: Final = ((-0.5, 0.27), (0.0, 0.46), (0.5, 0.27))
"""Places (of w) and shares of three Gaussians, 0.28 w wide, that make up the parabola of step 2."""
PARABOLA_SIGMA: Final = 0.28
LIGHTEST_N: Final = 0.02
"""Slices with less load than this are not drawn."""
SETTLING_ROUNDS: Final = 5
FIRST_GUESS_CM: Final = 4.0
"""Slices nearer to the foam than this are taken to touch it in the first round."""
SOLVED: Final = 1e-5
"""Relative error at which the equations count as solved."""
DEEPEST_CM: Final = 3.0
"""No pose presses a slice further into the foam than this by itself; feet beside the bed stand on the floor."""


def links(body: Body) -> Array:
    """(N, N) Laplacian of the slices' links along the bones and across the joints, N/cm."""
    rest, half = _rest_positions(body), body.half_cm.max(1)
    distance = np.sqrt(((rest[:, None] - rest) ** 2).sum(2))
    reach = (body.length_cm[:, None] + body.length_cm) / 2 + LINK_REACH * (half[:, None] + half)
    side, limb = _SIDE[body.strand], _LIMB[body.strand]
    related = (side[:, None] == side) & (limb[:, None] == limb) | (side[:, None] == 0) | (side == 0)
    linked = LINK_N_PER_CM * ((distance < reach) & related & ~np.eye(len(rest), dtype=bool))
    return np.asarray(np.diag(linked.sum(1)) - linked)


_SIDE: Final = np.array([{"r_": -1, "l_": 1}.get(s.bone[0][:2], 0) for s in STRANDS])
_ARM: Final = np.array([s.bone[0][2:] in ("shoulder", "elbow", "wrist") for s in STRANDS])
_LEG: Final = np.array([s.bone[0][2:] in ("hip", "knee", "ankle") for s in STRANDS])
_LIMB: Final = _ARM + 2 * _LEG


def _rest_positions(body: Body) -> Array:
    """(N, 3) slices of a body standing with the arms a little away, in which neighbours are found."""
    bone = body.bone_cm
    at = {"pelvis": (0.0, 0.0), "waist": (0.0, -bone["pelvis"])}
    at["neck"] = (0.0, at["waist"][1] - bone["thorax"])
    at["head"] = (0.0, at["neck"][1] - bone["head"])
    for prefix, s in (("r_", -1), ("l_", 1)):
        at[prefix + "hip"] = (s * bone["hip"], 0)
        for name, before, length in (("knee", "hip", "thigh"), ("ankle", "knee", "shank"), ("toe", "ankle", "foot")):
            x, y = at[prefix + before]
            at[prefix + name] = (x, y + bone[length])
        at[prefix + "shoulder"] = (s * bone["shoulder"], at["neck"][1] + bone["shoulder_drop"])
        for name, before, length in (("elbow", "shoulder", "upper_arm"), ("wrist", "elbow", "forearm"),
                                     ("fingers", "wrist", "hand")):  # fmt: skip
            x, y = at[prefix + before]
            at[prefix + name] = (x + s * 0.9 * bone[length], y + 0.44 * bone[length])
    points = np.array([(*at[name], 0.0) for name in POINTS])
    a, b = points[body.proximal], points[body.distal]
    across = np.column_stack([body.left_cm, np.zeros((len(body.along), 2))])
    return np.asarray(a + body.along[:, None] * (b - a) + across)


class Foam:
    """A bed of a given grid, ready to be lain on by one body; sheet folds follow from the seed."""

    def __init__(self, body: Body, grid: Grid) -> None:
        self.body, self.grid = body, grid
        self._links = links(body)
        self._weight_n = body.mass_share * body.mass_kg * GRAVITY
        self._x_cm = (np.arange(grid.cols) + 0.5 - grid.cols / 2) * grid.pitch_x_cm
        self._y_cm = (np.arange(grid.rows) + 0.5 - grid.rows / 2) * grid.pitch_y_cm
        self._hammock_x = blur_matrix(grid.cols, grid.pitch_x_cm, HAMMOCK_CM)
        self._hammock_y = blur_matrix(grid.rows, grid.pitch_y_cm, HAMMOCK_CM)

    def loads_n(self, placed: Placed, pose: Pose) -> tuple[Array, Array]:
        """(N,) load of each slice, sum = weight; and (N,) how far it lies on a wedge, 0..1."""
        body = self.body
        below, _, breadth = _underside(body.half_cm, placed)
        gap = placed.centre_cm[:, 2] + below[:, 2]
        trunk = _SIDE[body.strand] == 0
        on_wedge = pose.wedge * trunk * np.clip(gap / WEDGE_FROM_CM, 0, 1)
        gap = gap * (1 - WEDGE_FILLS * on_wedge)
        thorax = trunk & (body.proximal == POINTS.index("waist"))
        gap = gap + pose.recline * np.where(thorax, np.where(body.along < 0.6, *RECLINED_CM), 0.0)
        gap = np.maximum(gap, -DEEPEST_CM)
        springs = FOAM_N_PER_CM3 * body.length_cm * (1.2 * breadth + EDGE_CM)
        laplacian = self._links + self._touching(placed)
        sinking: NDArray[np.bool_] = gap < FIRST_GUESS_CM
        d = gap
        for _ in range(SETTLING_ROUNDS):
            active = springs * sinking
            d = _solve(laplacian + np.diag(active), self._weight_n + active * gap, d)
            if np.array_equal(d > gap, sinking):
                break
            sinking = d > gap
        load = np.maximum(springs * (d - gap), 0) * sinking
        return load * (self._weight_n.sum() / load.sum()), on_wedge

    def _touching(self, placed: Placed) -> Array:
        """(N, N) Laplacian of limbs that lie on one another or on the trunk."""
        body = self.body
        radius = np.sqrt(body.half_cm.prod(1))
        between = placed.centre_cm[:, None] - placed.centre_cm
        apart = np.sqrt((between**2).sum(2)) - radius[:, None] - radius
        strength = TOUCH_N_PER_CM * np.exp(-np.maximum(apart, 0) / TOUCH_FADE_CM) * (apart < 3 * TOUCH_FADE_CM)
        group = _SIDE[body.strand] * 3 + _LIMB[body.strand]
        strength *= group[:, None] != group
        return np.asarray(np.diag(strength.sum(1)) - strength)

    def press(self, placed: Placed, pose: Pose) -> NDArray[np.float32]:
        """(rows, cols) pressure in kPa."""
        load, on_wedge = self.loads_n(placed, pose)
        drawn = np.flatnonzero(load > LIGHTEST_N)
        pressure = self._draw(placed, load, on_wedge, drawn)
        spread = self._hammock_y @ pressure @ self._hammock_x.T
        return ((1 - HAMMOCK_SHARE) * pressure + HAMMOCK_SHARE * spread).astype(np.float32)

    def _draw(self, placed: Placed, load: Array, on_wedge: Array, drawn: Indices) -> Array:
        """Steps 2 and 3 without the hammock: (rows, cols) kPa of the slices `drawn`."""
        body, grid = self.body, self.grid
        below, depth, breadth = (values[drawn] for values in _underside(body.half_cm, placed))
        at = (placed.centre_cm[drawn] + below)[:, :2]
        at[:, 0] += WEDGE_CM * on_wedge[drawn] * np.sign(placed.left[drawn, 2])
        radius = breadth**2 / depth
        flat = np.linalg.norm(placed.direction[drawn, :2], axis=1)
        length = body.length_cm[drawn] * flat + breadth * (1 - flat)
        delta = (0.75 * load[drawn] / (FOAM_N_PER_CM3 * length * np.sqrt(2 * radius))) ** (2 / 3)
        width = np.minimum(np.sqrt(2 * radius * delta), 1.05 * breadth)

        along = placed.direction[drawn, :2] / np.maximum(flat, 1e-9)[:, None]
        across = np.column_stack([-along[:, 1], along[:, 0]])
        blur = FLESH_CM**2 + (WEDGE_CM * on_wedge[drawn]) ** 2
        var_along = length**2 / 9 + blur
        var_across = (PARABOLA_SIGMA * width) ** 2 + blur
        taxel = np.array([grid.pitch_x_cm**2, grid.pitch_y_cm**2]) / 12
        cxx = var_along * along[:, 0] ** 2 + var_across * across[:, 0] ** 2 + taxel[0]
        cyy = var_along * along[:, 1] ** 2 + var_across * across[:, 1] ** 2 + taxel[1]
        cxy = (var_along - var_across) * along[:, 0] * along[:, 1]
        determinant = cxx * cyy - cxy**2
        peak = load[drawn] / (2 * np.pi * np.sqrt(determinant))
        total = np.zeros((grid.rows, grid.cols))
        xx, yy, xy = cyy / determinant / 2, cxx / determinant / 2, cxy / determinant
        for place, share in PARABOLA:
            centre = at + place * width[:, None] * across
            dx, dy = self._x_cm - centre[:, :1], self._y_cm - centre[:, 1:]
            power = (xy[:, None] * dy)[:, :, None] * dx[:, None, :]
            power -= (xx[:, None] * dx**2)[:, None, :]
            power -= (yy[:, None] * dy**2)[:, :, None]
            gaussians = np.exp(power.astype(np.float32), out=np.empty(power.shape, np.float32))
            total += np.einsum("n,nij->ij", (share * peak).astype(np.float32), gaussians)  # no BLAS: its threads spin
        return total * 10  # N/cm2 -> kPa


def _underside(half_cm: Array, placed: Placed) -> tuple[Array, Array, Array]:
    """Slices as ellipsoids, as long as thick: (N, 3) from the centre to the lowest point, (N,) depth, half breadth."""
    axes = np.stack([placed.left, placed.front, placed.direction], 1)
    half = np.column_stack([half_cm, np.sqrt(half_cm.prod(1))])
    depth = np.sqrt(((half * axes[:, :, 2]) ** 2).sum(1))
    below = -np.einsum("ni,nij->nj", half**2 * axes[:, :, 2], axes) / depth[:, None]
    return below, depth, half_cm.prod(1) / depth


def _solve(matrix: Array, right: Array, start: Array) -> Array:
    """x with matrix @ x = right, symmetric and positive: conjugate gradients, preconditioned by the diagonal.

    A hundred unknowns need no more; LAPACK's threads cost 100 ms here whenever another process has the cores.
    """
    scale = 1 / np.diag(matrix)
    x = start
    residual = right - np.einsum("ij,j", matrix, x)
    step = scaled = scale * residual
    power = float((residual * scaled).sum())
    enough = SOLVED**2 * float((right * scale * right).sum())
    for _ in range(4 * len(x)):
        if power <= enough:
            break
        pushed = np.einsum("ij,j", matrix, step)
        length = power / float((step * pushed).sum())
        x = x + length * step
        residual = residual - length * pushed
        scaled = scale * residual
        before, power = power, float((residual * scaled).sum())
        step = scaled + power / before * step
    return x
