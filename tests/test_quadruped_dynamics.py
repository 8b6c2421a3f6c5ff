"""What lies between an action and the robot, and the robots that training draws."""

from __future__ import annotations

import numpy as np
import pytest
from quadruped_worlds import ZERO, standing

from pytest_a2perf.domains.quadruped.action_filter import LowPass
from pytest_a2perf.domains.quadruped.dynamics import RANGES
from pytest_a2perf.domains.quadruped.environment import QuadrupedEnv, curriculum
from pytest_a2perf.domains.quadruped.errors import QuadrupedError
from pytest_a2perf.domains.quadruped.model import CONTROL_STEP

pytest.importorskip("mujoco", reason="the quadruped needs MuJoCo")


class TestTraining:
    def test_the_curriculum_is_cubic(self):
        assert curriculum(0) == 20
        assert curriculum(15_000_000) == int(0.875 * 20 + 0.125 * 600)
        assert curriculum(30_000_000) == curriculum(10**9) == 600
        assert curriculum(15_000_000 // 512, 512) in {91, 92}

    def test_episodes_begin_short_and_grow(self):
        env = QuadrupedEnv(standing(), mode="train", num_parallel_envs=1_000_000)
        lengths = []
        for seed in range(3):
            env.reset(seed=seed, options={"start": 0.0})
            lengths.append(env.limit)
            over = False
            while not over:
                _, _, terminated, over, _ = env.step(ZERO)
                assert not terminated
        assert lengths[0] == 20
        assert lengths == [20, curriculum(19, 10**6), curriculum(19 + lengths[1] - 1, 10**6)]
        assert lengths[1] > 20

    def test_each_episode_has_another_robot_within_the_ranges(self):
        env = QuadrupedEnv("trot", mode="train")
        built = QuadrupedEnv("trot").model
        draws = []
        for seed in range(20):
            env.reset(seed=seed)
            draws.append(env.dynamics)
            for name, (low, high) in RANGES.items():
                values = np.asarray(getattr(env.dynamics, name))
                assert ((values >= low) & (values <= high)).all()
            ratio = env.model.body_mass[1:] / built.body_mass[1:]
            assert ratio[0] == pytest.approx(env.dynamics.mass[0])
            assert ratio[1:] == pytest.approx(env.dynamics.mass[1])
            strength = env.model.actuator_gainprm[:, 0] / 220
            assert strength == pytest.approx(env.dynamics.motor_strength)
            assert env.model.actuator_forcerange[:, 1] == pytest.approx(44 * strength)
            assert (env.model.pair_friction[:, :2] == env.dynamics.lateral_friction).all()
            assert env.model.dof_frictionloss[6:] == pytest.approx(env.dynamics.joint_friction)
        for name in RANGES:
            values = np.array([np.ravel(getattr(draw, name))[0] for draw in draws])
            assert np.ptp(values) > 0.6 * np.ptp(RANGES[name])
        again = QuadrupedEnv("trot", mode="train")
        again.reset(seed=19)
        assert again.dynamics.latency == env.dynamics.latency
        assert np.array_equal(again.model.body_inertia, env.model.body_inertia)

    def test_test_mode_has_the_robot_as_it_was_built(self):
        env = QuadrupedEnv("trot")
        env.reset(seed=0)
        assert env.dynamics is None
        assert env.model.actuator_gainprm[0, 0] == 220
        assert QuadrupedEnv("trot", enable_randomizer=True).reset(seed=0)

    def test_latency_delays_what_is_observed(self):
        env = QuadrupedEnv("trot")
        env.reset(seed=0)
        env._lag = 1.25
        joints = []
        for _ in range(5):
            seen = env.step(ZERO)[0]
            joints.insert(0, env.data.qpos[7:].copy())
        assert seen[48:60] == pytest.approx(0.75 * joints[1] + 0.25 * joints[2], abs=1e-6)


class TestActions:
    def test_the_filter_is_a_butterworth_of_4_hz(self):
        signal = pytest.importorskip("scipy.signal")
        b, a = signal.butter(2, 4.0, fs=1 / CONTROL_STEP)
        noise = np.random.default_rng(0).normal(size=(50, 3))
        low_pass = LowPass(np.zeros(3))
        found = np.array([low_pass(x) for x in noise])
        assert np.allclose(found, signal.lfilter(b, a, noise, axis=0))

    def test_its_input_can_be_found(self):
        low_pass = LowPass(np.array([0.3]))
        low_pass(np.array([1.0]))
        x = low_pass.input_for(np.array([0.7]))
        low_pass(x)
        assert low_pass(x) == pytest.approx([0.7])

    def test_set_points_move_evenly_to_the_command(self):
        env = QuadrupedEnv(standing())
        env.reset(seed=0, options={"start": 0.0})
        before = env.data.act.copy()
        env.step(np.full(12, 0.3))
        gain = LowPass(np.zeros(1)).gain
        assert env.data.act == pytest.approx(before + gain * 0.3)

    def test_torques_are_clipped_to_a_command_0_2_rad_away(self):
        env = QuadrupedEnv(standing())
        env.reset(seed=0, options={"start": 0.0})
        for _ in range(4):
            env.step(np.full(12, 6.0))
            assert np.abs(env.data.actuator_force).max() <= 220 * 0.2 + 1e-9
        assert np.abs(env.data.actuator_force).max() > 40

    @pytest.mark.parametrize("action", [np.zeros(11), np.full(12, np.nan), np.zeros((1, 12))])
    def test_others_are_refused(self, action):
        env = QuadrupedEnv("trot")
        env.reset(seed=0)
        with pytest.raises(QuadrupedError, match="an action is 12 finite numbers"):
            env.step(action)
