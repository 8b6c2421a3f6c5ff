"""The imitation environments: observation, reward, ends, randomness, vector mode."""

from __future__ import annotations

import math
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from quadruped_worlds import ZERO, standing

import pytest_a2perf.envs  # noqa: F401 - registers the environments
from pytest_a2perf.domains.quadruped.clips import Clip
from pytest_a2perf.domains.quadruped.environment import QuadrupedEnv
from pytest_a2perf.domains.quadruped.errors import QuadrupedError
from pytest_a2perf.domains.quadruped.gaits import GAITS, find_clip
from pytest_a2perf.domains.quadruped.kinematics import DEFAULT_POSE
from pytest_a2perf.domains.quadruped.model import CONTROL_STEP
from pytest_a2perf.domains.quadruped.reference import Reference
from pytest_a2perf.domains.quadruped.reward import WEIGHTS, compare
from pytest_a2perf.domains.quadruped.rotations import about_z, heading, multiply
from pytest_a2perf.errors import InfraError

mujoco = pytest.importorskip("mujoco", reason="the quadruped needs MuJoCo")

TROT = "a2perf/QuadrupedLocomotion-DogTrot-v0"
IDS = [f"a2perf/QuadrupedLocomotion-Dog{name}-v0" for name in ("Pace", "Trot", "Spin")]


def put(env, qpos, qvel):
    """Have the robot somewhere, and return its state."""
    env.data.qpos[:], env.data.qvel[:] = qpos, qvel
    mujoco.mj_forward(env.model, env.data)
    return env.robot.state(env.robot.attitude().yaw)


@pytest.mark.parametrize("name", [*IDS, "a2perf/QuadrupedLocomotion-v0"])
@pytest.mark.parametrize("mode", ["test", "train"])
def test_gymnasium_finds_nothing_wrong(name, mode):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The space is A2Perf's; to want another one is a matter of taste.
        warnings.filterwarnings("ignore", message=".*recommend using a symmetric and normalized")
        env = gymnasium.make(name, mode=mode).unwrapped
        check_env(env, skip_render_check=True)
    assert (env.observation_space.shape, env.observation_space.dtype) == ((160,), np.float32)
    assert env.observation_space.is_bounded()
    limit = np.float32(2 * math.pi)
    assert env.action_space == gymnasium.spaces.Box(-limit, limit, (12,), np.float32)


class TestObservation:
    def test_it_is_laid_out_as_a2perfs(self):
        env = QuadrupedEnv("trot")
        seen, _ = env.reset(seed=0, options={"start": 0.1})
        assert np.allclose(seen[12:48], 0)  # no action yet
        joints = [env.data.qpos[7:].copy()]
        imu = []
        actions = [np.full(12, 0.01 * n, dtype=np.float32) for n in range(1, 4)]
        for action in actions:
            seen, *_ = env.step(action)
            joints.insert(0, env.data.qpos[7:].copy())
            now = env.robot.attitude()
            imu.insert(0, [now.roll, now.pitch, *env.data.qvel[3:5]])
        assert seen[:12] == pytest.approx(np.ravel(imu), abs=1e-6)
        assert seen[12:48] == pytest.approx(np.ravel(actions[::-1]), abs=1e-6)
        assert seen[48:84] == pytest.approx(np.ravel(joints[:3]), abs=1e-6)

    def test_targets_are_frames_to_come_in_the_heading_frame(self):
        clip = find_clip("spin")
        env = QuadrupedEnv(clip)
        start = 0.1
        env.reset(seed=0, options={"start": start})
        seen = env.step(ZERO)[0]
        now = clip.sample(np.array([start, start + CONTROL_STEP]))
        yaw = env.robot.attitude().yaw
        first = heading(now.rotation[:1])[0]
        for frame, steps in zip(seen[84:].reshape(4, 19), (1, 2, 10, 30), strict=True):
            ahead = clip.sample(np.array([start + (1 + steps) * CONTROL_STEP]))
            turn = -first - yaw
            away = (ahead.position - now.position[1:])[0]
            cosine, sine = math.cos(turn), math.sin(turn)
            assert frame[:3] == pytest.approx(
                [
                    cosine * away[0] - sine * away[1],
                    sine * away[0] + cosine * away[1],
                    away[2],
                ],
                abs=1e-5,
            )
            w, x, y, z = multiply(about_z(turn), ahead.rotation[0])
            assert np.sign(w or 1) * np.array([x, y, z, w]) == pytest.approx(frame[3:7], abs=1e-5)
            assert frame[7:] == pytest.approx(ahead.joints[0], abs=1e-5)

    def test_observations_are_not_shared(self):
        env = QuadrupedEnv("trot")
        first, _ = env.reset(seed=0)
        kept = first.copy()
        second = env.step(ZERO)[0]
        assert np.array_equal(first, kept)
        assert not np.shares_memory(first, second)


class TestReward:
    def test_weights_sum_to_one(self):
        assert sum(WEIGHTS.values()) == pytest.approx(1)

    @pytest.mark.parametrize("name", sorted(GAITS))
    def test_perfect_tracking_is_worth_one(self, name):
        env = QuadrupedEnv(name)
        for start in np.linspace(-0.2, 1.0, 7):
            env.reset(seed=0, options={"start": start})
            for step in (0, 5, 31, 200):
                state = put(env, *env.reference.state(step))
                found = compare(state, env.reference.wanted(step))
                assert found.reward == pytest.approx(1, abs=1e-9)
                assert found.distance == pytest.approx(0)
                assert found.angle == pytest.approx(0, abs=1e-7)

    def test_it_is_so_where_the_reference_has_come_to_the_robot(self):
        env = QuadrupedEnv("trot")
        env.reset(seed=0, options={"start": 0.0})
        for place in ([0.4, -0.3], [-0.2, 0.1]):
            env.reference.sync(5, np.array(place))
            qpos, qvel = env.reference.state(5)
            assert qpos[:2] == pytest.approx(place)
            assert compare(put(env, qpos, qvel), env.reference.wanted(5)).reward == pytest.approx(1)

    def test_each_term_is_its_formula(self):
        env = QuadrupedEnv(standing())
        env.reset(seed=0, options={"start": 0.0})
        qpos, qvel = env.reference.state(0)
        qpos[:3] += [0.03, -0.04, 0.02]
        qpos[7 + 2] += 0.1
        qpos[3:7] = about_z(0.2)
        qvel[:3] = [0.1, 0.2, -0.1]
        qvel[3:6] = [0.5, 0.0, -0.5]
        qvel[6 + 1], qvel[6 + 4] = 2.0, -1.0
        state = put(env, qpos, qvel)
        found = compare(state, env.reference.wanted(0))
        # The knee of the front right leg alone: its shank, 0.265 m, from -0.58 to -0.48 rad.
        dx = 0.265 * (math.sin(0.58) - math.sin(0.48))
        lower = 0.265 * (math.cos(0.48) - math.cos(0.58))
        ends = dx**2 + 3 * ((0.02 - lower) ** 2 + 3 * 0.02**2)
        assert found.terms == pytest.approx(
            {
                "pose": math.exp(-5 * 0.1**2),
                "velocity": math.exp(-0.1 * (2.0**2 + 1.0**2)),
                "end_effector": math.exp(-40 * ends),
                "root_pose": math.exp(-20 * (0.03**2 + 0.04**2 + 0.02**2 + 0.5 * 0.2**2)),
                "root_velocity": math.exp(-2 * (0.06 + 0.1 * 0.5)),
            }
        )
        assert found.distance == pytest.approx(math.sqrt(0.0029))
        assert found.angle == pytest.approx(0.2)
        assert found.reward == pytest.approx(
            0.5 * 0.951229
            + 0.05 * 0.606531
            + 0.2 * math.exp(-40 * ends)
            + 0.15 * math.exp(-20 * 0.0229)
            + 0.1 * math.exp(-0.22),
            abs=1e-6,
        )

    def test_info_has_the_terms(self):
        env = QuadrupedEnv("trot")
        env.reset(seed=0)
        _, reward, _, _, info = env.step(ZERO)
        assert list(info) == list(WEIGHTS)
        assert reward == pytest.approx(sum(WEIGHTS[name] * info[name] for name in WEIGHTS))


class TestEnds:
    def test_the_time_limit_truncates_and_is_a_success(self):
        env = QuadrupedEnv(standing())
        env.reset(seed=0, options={"start": 0.0})
        for step in range(1, 601):
            _, reward, terminated, truncated, info = env.step(ZERO)
            assert (terminated, truncated) == (False, step == 600)
            assert reward > 0.9
        assert info["is_success"] is True
        with pytest.raises(QuadrupedError, match="call reset"):
            env.step(ZERO)

    def fails(self, env):
        _, _, terminated, truncated, info = env.step(ZERO)
        return terminated and not truncated and info["is_success"] is False

    def test_falling_ends_the_episode(self):
        env = QuadrupedEnv(standing())
        env.reset(seed=0, options={"start": 0.0})
        env.data.qpos[2] = 0.2
        assert self.fails(env)

    def test_so_does_kneeling(self):
        for height, over in ((0.31, False), (0.30, True)):
            env = QuadrupedEnv(standing())
            env.reset(seed=0, options={"start": 0.0})
            qpos = env.data.qpos.copy()
            qpos[2] = height
            qpos[7:] = np.tile([0.0, -0.6, -1.2], 4)  # thighs upright, and shanks off the ground
            put(env, qpos, np.zeros(18))
            assert env.robot.fallen == over

    def test_so_does_being_1_m_away(self):
        for distance, over in ((0.98, False), (1.02, True)):
            env = QuadrupedEnv(standing())
            env.reset(seed=0, options={"start": 0.0})
            env.data.qpos[0] += distance
            assert self.fails(env) == over

    def test_so_does_being_turned_by_90_degrees(self):
        for angle, over in ((1.5, False), (1.65, True)):
            env = QuadrupedEnv(standing())
            env.reset(seed=0, options={"start": 0.0})
            env.data.qpos[3:7] = about_z(angle)
            assert self.fails(env) == over

    def test_a_clip_that_does_not_loop_ends(self):
        clip = standing(11, 0.033)
        once = Clip(clip.position, clip.rotation, clip.joints, 0.033, wrap=False)
        env = QuadrupedEnv(once)
        env.reset(seed=0, options={"start": 0.0165})
        for step in range(1, 11):
            _, _, terminated, truncated, info = env.step(ZERO)
            assert (terminated, truncated) == (step == 10, False)
        assert info["is_success"] is True

    def test_the_reference_comes_to_the_robot_where_a_cycle_begins(self):
        env = QuadrupedEnv(standing(2, 0.33))
        env.reset(seed=0, options={"start": 0.0})
        env.data.qpos[0] += 0.4
        distances = []
        for _ in range(12):
            distances.append(abs(env.data.qpos[0] - env.reference.origin[0]))
            assert not env.step(ZERO)[2]
        assert distances[9] > 0.35
        assert distances[11] < 0.01


class TestStart:
    @pytest.mark.slow
    def test_most_episodes_begin_in_the_clip_and_some_in_the_default_pose(self):
        env = QuadrupedEnv("trot")
        env.reset(seed=0)
        stands = 0
        for _ in range(300):
            env.reset()
            stands += np.allclose(env.data.qpos[7:], DEFAULT_POSE)
            assert np.allclose(env.data.qpos[:2], 0)
            assert heading(env.data.qpos[3:7]) == pytest.approx(0, abs=1e-9)
        assert 15 <= stands <= 50

    def test_warm_up_stands_for_a_quarter_of_a_second_at_most(self):
        reference = Reference(find_clip("trot"), -0.25, 40)
        assert np.allclose(reference.joints[:8], DEFAULT_POSE)
        assert not np.allclose(reference.joints[8], DEFAULT_POSE, atol=0.02)
        assert np.allclose(reference.linear[:8], 0)
        assert reference.begins_cycle[8]

    @pytest.mark.slow
    def test_the_same_seed_gives_the_same_episode(self):
        def play(env, seed):
            rng = np.random.default_rng(1)
            found = [env.reset(seed=seed)[0]]
            over = False
            while not over:
                seen, reward, terminated, over, _ = env.step(rng.normal(0, 0.1, 12))
                over |= terminated
                found.append(np.append(seen, reward))
            return np.concatenate(found)

        for mode in ("test", "train"):
            one, other = QuadrupedEnv("pace", mode=mode), QuadrupedEnv("pace", mode=mode)
            first = play(one, 3)
            assert np.array_equal(first, play(other, 3))
            assert not np.array_equal(first[:160], play(one, 4)[:160])
            assert np.array_equal(play(QuadrupedEnv("pace", mode=mode), 3), first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip": "walk"}, "there is no clip 'walk'"),
        ({"mode": "eval"}, "mode is 'eval'; known: 'train', 'test'"),
        ({"num_parallel_envs": 0}, "num_parallel_envs is 0"),
        ({"render_mode": "human"}, "render_mode is 'human'"),
    ],
)
def test_settings_that_make_no_sense(options, message):
    with pytest.raises(QuadrupedError, match=message):
        QuadrupedEnv(**options)


def test_the_vector_mode_gives_what_single_environments_give():
    count, steps = 3, 60
    vector = gymnasium.make_vec(TROT, count, vectorization_mode="vector_entry_point", threads=2)
    assert type(vector.unwrapped).__name__ == "QuadrupedVectorEnv"
    singles = [gymnasium.make(TROT) for _ in range(count)]
    rng = np.random.default_rng(0)
    seen, _ = vector.reset(seed=5)
    own = [env.reset(seed=5 + n)[0] for n, env in enumerate(singles)]
    assert np.array_equal(seen, own)
    ended = [False] * count
    resets = 0
    for _ in range(steps):
        actions = rng.normal(0, 0.2, (count, 12)).astype(np.float32)
        seen, rewards, terminations, truncations, infos = vector.step(actions)
        for n, env in enumerate(singles):
            if ended[n]:
                resets += 1
                found, info = env.reset()
                expected = (found, 0.0, False, False)
            else:
                *expected, info = env.step(actions[n])
            assert np.array_equal(seen[n], expected[0])
            assert (rewards[n], terminations[n], truncations[n]) == tuple(expected[1:])
            for name, value in info.items():
                assert infos[name][n] == value
            ended[n] = expected[2] or expected[3]
    assert resets > 0
    vector.close()


@pytest.mark.slow
def test_the_picture_shows_the_robot():
    env = QuadrupedEnv("trot", render_mode="rgb_array")
    env.reset(seed=0)
    try:
        picture = env.render()
    except InfraError as error:
        pytest.skip(f"no OpenGL here: {error}")
    assert picture.shape == (480, 640, 3)
    assert picture.dtype == np.uint8
    orange = (picture[..., 0].astype(int) - picture[..., 2]) > 90
    assert 4 < orange.sum() < 5000  # its feet
    for _ in range(5):
        env.step(ZERO)
    assert not np.array_equal(picture, env.render())
    env.close()
    assert QuadrupedEnv("trot").render() is None
