"""Clips: reading, sampling, writing; the gaits that ship; the robot that plays them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pytest_a2perf.domains.quadruped.clips import Clip, read_clip, write_clip
from pytest_a2perf.domains.quadruped.errors import ClipError, QuadrupedError
from pytest_a2perf.domains.quadruped.gaits import GAITS, Gait, find_clip, generate
from pytest_a2perf.domains.quadruped.kinematics import (
    DEFAULT_HEIGHT,
    FOOT_RADIUS,
    JOINT_HIGH,
    JOINT_LOW,
    feet_in_body,
    joints_for_feet,
)
from pytest_a2perf.domains.quadruped.model import JOINTS, compile_model, feet_of
from pytest_a2perf.domains.quadruped.rotations import (
    about_z,
    conjugate,
    heading,
    multiply,
    rotate,
    rotation_vector,
    slerp,
)

mujoco = pytest.importorskip("mujoco", reason="the quadruped needs MuJoCo")

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "quadruped"
NAMES = sorted(GAITS)


def real(name):
    path = DATA / f"dog_{name}.txt"
    if not path.exists():
        pytest.skip(f"needs the clips of motion_imitation, which do not ship: {path}")
    return read_clip(path)


def play(clip, seconds=2.0, step=0.005):
    """Return times, motion and feet in the world, (k, 4, 3)."""
    times = np.arange(0.0, seconds, step)
    motion = clip.sample(times)
    feet = rotate(motion.rotation[:, None], feet_in_body(motion.joints))
    return times, motion, feet + motion.position[:, None]


def contacts(motion):
    """Return what touches: pairs of names, with the deepest penetration of each."""
    model = compile_model(self_collision=True)
    data = mujoco.MjData(model)
    deepest = {}
    for row in range(len(motion.position)):
        data.qpos[:] = np.concatenate(
            [motion.position[row], motion.rotation[row], motion.joints[row]]
        )
        mujoco.mj_kinematics(model, data)
        mujoco.mj_collision(model, data)
        for contact in data.contact:
            pair = tuple(model.geom(geom).name for geom in contact.geom)
            deepest[pair] = min(deepest.get(pair, 0.0), contact.dist)
    return deepest


class TestRobot:
    def test_it_has_18_degrees_of_freedom_and_laikagos_size(self):
        model = compile_model()
        assert (model.nv, model.nu) == (18, 12)
        assert tuple(model.actuator(n).name for n in range(12)) == JOINTS
        assert 12 < model.body_mass.sum() < 22
        assert np.allclose(model.jnt_range[1:], np.stack([JOINT_LOW, JOINT_HIGH], axis=-1))
        assert model.opt.timestep == 0.001

    @given(arrays(float, 12, elements=st.floats(0, 1)))
    @settings(deadline=None, max_examples=40)
    def test_kinematics_are_the_models(self, part):
        joints = JOINT_LOW + part * (JOINT_HIGH - JOINT_LOW)
        model = compile_model()
        data = mujoco.MjData(model)
        data.qpos[:] = [0, 0, 0, 1, 0, 0, 0, *joints]
        mujoco.mj_kinematics(model, data)
        assert np.allclose(data.geom_xpos[feet_of(model)], feet_in_body(joints), atol=1e-12)

    @given(arrays(float, (4, 3), elements=st.floats(-1, 1)))
    @settings(deadline=None, max_examples=100)
    def test_inverse_kinematics_invert(self, part):
        feet = feet_in_body(np.zeros(12)) + part * [0.1, 0.1, 0.03] + [0, 0, 0.06]
        joints = joints_for_feet(feet)
        assert np.allclose(feet_in_body(joints), feet, atol=1e-9)
        assert (joints[2::3] < 0.66).all()  # knees point back

    def test_feet_out_of_reach_are_an_error(self):
        with pytest.raises(QuadrupedError, match="the legs do not reach that far"):
            joints_for_feet(feet_in_body(np.zeros(12)) - [0, 0, 0.3])

    def test_in_the_default_pose_it_stands(self):
        model = compile_model()
        data = mujoco.MjData(model)
        data.qpos[2] = DEFAULT_HEIGHT
        data.qpos[7:] = data.act[:] = np.tile([0.0, 0.07, -0.59], 4)
        mujoco.mj_step(model, data, nstep=2000)
        assert abs(data.qpos[2] - DEFAULT_HEIGHT) < 0.02
        assert np.abs(data.qvel).max() < 0.02
        assert {model.geom(g).name[3:] for g in data.contact.geom[:, 1]} == {"foot"}


class TestGaits:
    @pytest.mark.parametrize("name", NAMES)
    def test_feet_stand_on_the_ground_and_do_not_slide(self, name):
        _, motion, feet = play(find_clip(name))
        height = feet[..., 2] - FOOT_RADIUS
        assert height.min() > -0.001
        assert height.min(axis=1).max() < 0.001  # some foot always carries
        assert np.all(height.max(axis=0) > 0.035)  # each swings
        stands = (height[1:] < 0.0005) & (height[:-1] < 0.0005)
        speed = np.linalg.norm(np.diff(feet[..., :2], axis=0), axis=-1) / 0.005
        assert stands.mean() > 0.5
        assert speed[stands].max() < 0.1
        assert np.all(motion.joints > JOINT_LOW)
        assert np.all(motion.joints < JOINT_HIGH)

    @pytest.mark.parametrize("name", NAMES)
    def test_only_feet_touch_anything(self, name):
        _, motion, _ = play(find_clip(name), 0.6, 0.01)
        assert all(
            pair[0] == "floor" and pair[1].endswith("_foot") and depth > -0.01
            for pair, depth in contacts(motion).items()
        )

    def test_pace_moves_sides_and_trot_diagonals(self):
        for name, together in (("pace", (0, 2)), ("trot", (0, 3))):
            _, _, feet = play(find_clip(name))
            assert np.allclose(feet[:, together[0], 2], feet[:, together[1], 2], atol=1e-3)

    def test_they_go_where_their_parameters_say(self):
        gait = GAITS["trot"]
        motion = find_clip("trot").sample(np.array([10 * gait.period]))
        assert motion.position[0] == pytest.approx([10 * gait.stride, 0, gait.height])
        spin = GAITS["spin"]
        motion = find_clip("spin").sample(np.array([2.0]))
        assert heading(motion.rotation)[0] == pytest.approx(2 * spin.yaw_rate, abs=1e-3)
        assert motion.angular[0] == pytest.approx([0, 0, spin.yaw_rate], abs=1e-6)

    def test_a_curve_closes(self):
        gait = Gait(0.5, 0.6, (0, 0.5, 0.5, 0), stride=0.25, yaw_rate=1.0)
        motion = generate(gait).sample(np.array([2 * np.pi]))
        assert motion.position[0, :2] == pytest.approx([0, 0], abs=0.01)

    def test_nonsense_is_refused(self):
        with pytest.raises(QuadrupedError, match="duty between 0 and 1"):
            generate(Gait(0.5, 1.0, (0, 0, 0, 0)))
        with pytest.raises(QuadrupedError, match="stride or height are too large"):
            generate(Gait(0.5, 0.5, (0, 0, 0, 0), stride=3.0))
        with pytest.raises(QuadrupedError, match=r"no clip 'trott'.*did you mean 'trot'"):
            find_clip("trott")


class TestRealClips:
    @pytest.mark.parametrize(("name", "frames"), [("pace", 39), ("trot", 33), ("spin", 46)])
    def test_they_play_with_the_feet_on_the_ground(self, name, frames):
        clip = real(name)
        assert len(clip.position) == frames
        assert clip.offset_rotation == (name == "spin")
        _, motion, feet = play(clip)
        height = feet[..., 2] - FOOT_RADIUS
        assert -0.01 < height.min() < 0.005
        assert height.min(axis=1).max() < 0.02
        assert np.all(height.max(axis=0) > 0.02)
        assert np.all((motion.joints > JOINT_LOW) & (motion.joints < JOINT_HIGH))
        assert np.allclose(rotate(motion.rotation, np.array([[0, 0, 1.0]]))[:, 2], 1, atol=0.06)
        # Left feet are on the left.
        relative = rotate(conjugate(motion.rotation)[:, None], feet - motion.position[:, None])
        assert np.all(relative[:, 1::2, 1].mean(axis=0) > 0.02)
        assert np.all(relative[:, 0::2, 1].mean(axis=0) < -0.02)
        assert all(pair[0] == "floor" and pair[1].endswith("_foot") for pair in contacts(motion))

    def test_the_dog_walks_forwards(self):
        clip = real("trot")
        motion = clip.sample(np.array([0.0, 10 * clip.duration]))
        assert motion.position[1, 0] == pytest.approx(9.36, abs=0.01)
        assert np.abs(heading(motion.rotation)).max() < 0.1

    @pytest.mark.parametrize("name", NAMES)
    def test_writing_and_reading_changes_nothing(self, name, tmp_path):
        clip = real(name)
        write_clip(clip, tmp_path / "x.txt")
        same(read_clip(tmp_path / "x.txt"), clip)
        original = json.loads((DATA / f"dog_{name}.txt").read_text())["Frames"]
        again = json.loads((tmp_path / "x.txt").read_text())["Frames"]
        assert np.allclose(original, again, atol=2e-5)


def same(one, other):
    assert np.allclose(one.position, other.position, atol=1e-12)
    assert np.allclose(
        rotation_vector(multiply(one.rotation, conjugate(other.rotation))), 0, atol=1e-7
    )
    assert np.allclose(one.joints, other.joints)
    for name in ("frame_duration", "wrap", "offset_position", "offset_rotation"):
        assert getattr(one, name) == getattr(other, name)


@st.composite
def clips(draw):
    count = draw(st.integers(2, 6))
    numbers = st.floats(-2, 2)
    axes = draw(arrays(float, (count, 4), elements=st.floats(0.1, 1)))
    position = draw(arrays(float, (count, 3), elements=numbers))
    return Clip(
        position - [*position[0, :2], 0.0],
        axes / np.linalg.norm(axes, axis=1, keepdims=True),
        draw(arrays(float, (count, 12), elements=numbers)),
        draw(st.floats(0.01, 0.1)),
        *(draw(st.booleans()) for _ in range(3)),
    )


class TestSampling:
    @given(clips())
    @settings(deadline=None, max_examples=30)
    def test_files_hold_all_there_is(self, clip):
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            write_clip(clip, Path(folder, "x.txt"))
            same(read_clip(Path(folder, "x.txt")), clip)

    @given(clips(), st.floats(0.01, 0.99))
    @settings(deadline=None, max_examples=60)
    def test_frames_are_met_and_between_them_is_in_between(self, clip, part):
        frames = len(clip.position) - 1
        times = clip.frame_duration * np.arange(frames)
        motion = clip.sample(times + 1e-9 * clip.frame_duration)
        assert np.allclose(motion.position, clip.position[:-1], atol=1e-6)
        assert np.allclose(motion.joints, clip.joints[:-1], atol=1e-6)
        motion = clip.sample((np.arange(frames) + part) * clip.frame_duration)
        wanted = clip.joints[:-1] * (1 - part) + clip.joints[1:] * part
        assert np.allclose(motion.joints, wanted, atol=1e-6)
        assert np.allclose(np.linalg.norm(motion.rotation, axis=1), 1)
        first = slice(None, max(frames - 1, 1)) if frames > 1 else slice(0, 1)
        speed = np.diff(clip.joints, axis=0) / clip.frame_duration
        after = np.concatenate([speed, speed[-1:]])
        blended = (after[:-1] * (1 - part) + after[1:] * part)[first]
        assert np.allclose(motion.joint_velocities[first], blended, atol=1e-4)

    @given(clips(), st.integers(-3, 8), st.floats(0, 0.99))
    @settings(deadline=None, max_examples=60)
    def test_cycles_follow_each_other(self, clip, count, part):
        times = clip.duration * np.array([part, count + part, count + 1 - 1e-9, count + 1 + 1e-9])
        motion = clip.sample(times)
        if not clip.wrap:
            assert np.allclose(clip.sample(np.array([-1.0])).position, clip.position[:1])
            last = clip.sample(np.array([2 * clip.duration]))
            assert np.allclose(last.position, clip.position[-1:])
            assert np.allclose(last.joint_velocities, 0)
            return
        assert np.allclose(motion.joints[0], motion.joints[1], atol=1e-5)
        if clip.offset_position:
            assert np.allclose(motion.position[2, :2], motion.position[3, :2], atol=1e-4)
        if clip.offset_rotation:
            step = heading(multiply(clip.rotation[-1], conjugate(clip.rotation[0])))
            turned = multiply(about_z(step * count), motion.rotation[0])
            assert np.allclose(
                rotation_vector(multiply(turned, conjugate(motion.rotation[1]))), 0, atol=1e-5
            )

    def test_slerp_goes_the_shorter_way_evenly(self):
        start, end = about_z(0.2), -about_z(1.2)
        found = heading(slerp(start[None], end[None], np.array([0.0, 0.25, 1.0])))
        assert found == pytest.approx([0.2, 0.45, 1.2])


GOOD = {
    "LoopMode": "Wrap",
    "FrameDuration": 0.01667,
    "Frames": [[0, 0, 0.4, 0.5, 0.5, 0.5, 0.5, *[0] * 12]] * 3,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"LoopMode": None}, "LoopMode is None; known: 'Wrap', 'Clamp'"),
        ({"LoopMode": "wrap"}, "LoopMode is 'wrap'; known"),
        ({"FrameDuration": 0}, "FrameDuration is 0; it must be above 0"),
        ({"FrameDuration": float("nan")}, "FrameDuration is nan"),
        ({"FrameDuration": float("inf")}, "must be finite"),
        ({"FrameDuration": "x"}, "FrameDuration is 'x'"),
        ({"EnableCycleOffsetPosition": 1}, "must be true or false"),
        ({"Frames": []}, "at least 2 frames"),
        ({"Frames": [GOOD["Frames"][0], [0] * 18]}, "frame 1 has 18 numbers instead of 19"),
        ({"Frames": [GOOD["Frames"][0], 7]}, "frame 1 has the value 7 instead of 19"),
        ({"Frames": [["x"] * 19] * 2}, "frame 0 has something that is no number"),
        (
            {"Frames": [[float("nan"), *GOOD["Frames"][0][1:]]] * 2},
            "frame 0 has a number that is not finite",
        ),
        (
            {"Frames": [[0, 0, 0.4, 1, 1, 1, 1, *[0] * 12]] * 2},
            "frame 0 has a quaternion of length 2",
        ),
    ],
)
def test_errors_name_the_file_and_what_is_wrong(change, message, tmp_path):
    path = tmp_path / "clip.txt"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(ClipError) as error:
        read_clip(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


@pytest.mark.parametrize("key", ["LoopMode", "FrameDuration", "Frames"])
def test_keys_that_are_missing_are_named(key, tmp_path):
    path = tmp_path / "clip.txt"
    path.write_text(json.dumps({k: v for k, v in GOOD.items() if k != key}))
    with pytest.raises(ClipError, match=f"clip.txt: {key} is missing"):
        read_clip(path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(ClipError, match=r"none\.txt: cannot be read: No such file"):
        read_clip(tmp_path / "none.txt")
    (tmp_path / "x.txt").write_text("{")
    with pytest.raises(ClipError, match=r"x\.txt: is no JSON"):
        read_clip(tmp_path / "x.txt")
    (tmp_path / "x.txt").write_text("[]")
    with pytest.raises(ClipError, match="is no JSON object"):
        read_clip(tmp_path / "x.txt")
