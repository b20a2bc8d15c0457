"""The test plan as data: what has to hold of each unit, in stages, and what shows it.

A test looks up every name in here; `tools.testplan` writes the tables.
"""

from __future__ import annotations

from dataclasses import dataclass

#: What a unit has reached when all lines of a stage are shown.
STAGES = ("V1", "V2", "V3")
#: Evidence that names a unit of `make formal` begins so; all other is a test by file and name.
FORMAL = "formal "


@dataclass(frozen=True, kw_only=True)
class Line:
    """``claim`` holds of ``unit``; shown by ``evidence``, without any of which it is open."""

    unit: str
    stage: str
    claim: str
    evidence: tuple[str, ...] = ()


def _unit(unit: str, *lines: tuple[str, str, str]) -> list[Line]:
    """Lines of one unit: stage, claim, evidence with blanks between tests and commas between."""
    return [
        Line(unit=unit, stage=stage, claim=claim,
             evidence=tuple(word.strip() for word in evidence.split(",") if word.strip()))
        for stage, claim, evidence in lines
    ]  # fmt: skip


_ARRAY, _ATTN, _DMA = "tests/hw/array", "tests/hw/attention", "tests/hw/dma"
_COVERAGE = ("V3", "RTL coverage of lines, branches and toggles", "")
_MUTATION = ("V3", "netlist mutants are found by the bench", "")
_GATES = ("V3", "mapped gates equal the RTL on real tensors", "")

PLAN: tuple[Line, ...] = (
    *_unit(
        "array",
        ("V1", "products of every mode equal `PsMac`",
         f"{_ARRAY}/test_pe.py::test_8x8_exhaustive, {_ARRAY}/test_pe.py::test_8x4_exhaustive, "
         f"{_ARRAY}/test_pe.py::test_4x4_exhaustive"),
        ("V1", "every destination of MATMUL", f"{_ARRAY}/test_unit.py::test_every_destination"),
        ("V2", "mixed programs under pauses, order of loops, ragged edges",
         f"{_ARRAY}/test_unit.py::test_mixed_programs_with_pauses, "
         f"{_ARRAY}/control/test_loop_nest.py::test_every_chunk_of_either_order, "
         f"{_ARRAY}/control/test_operand_walk.py::test_addresses, "
         f"{_ARRAY}/control/test_tile_record.py::test_sizes_and_records"),
        ("V2", "no cycle is lost; pacing holds whatever waits",
         f"{_ARRAY}/test_unit.py::test_no_cycle_is_lost, "
         f"{_ARRAY}/control/test_pace.py::test_rules_hold_whatever_waits, "
         f"{_ARRAY}/control/test_constant_rows.py::test_promises_are_kept"),
        ("V2", "drain: requantizer, residual, GELU, statistics, places of rows",
         f"{_ARRAY}/test_requantizer.py::test_exhaustive, "
         f"{_ARRAY}/test_residual_adder.py::test_extremes_of_the_sum, "
         f"{_ARRAY}/test_gelu_table.py::test_every_input_of_two_tables, "
         f"{_ARRAY}/test_token_statistics.py::test_square_of_every_byte, "
         f"{_ARRAY}/test_rows.py::test_places, "
         f"{_ARRAY}/control/test_product_count.py::test_products_of_every_kind_of_chunk"),
        ("V2", "illegal instructions; layers of real networks; a planted fault is caught",
         f"{_ARRAY}/test_unit.py::test_faults, {_ARRAY}/test_unit.py::test_network_layers, "
         f"{_ARRAY}/test_unit.py::test_a_fault_in_the_hardware_is_caught"),
        ("V3", "packed multipliers, requantizer, residual adder and GELU table for all inputs",
         "formal packed_pe, formal requantizer, formal residual_adder, formal gelu_table, "
         f"formal rounding, {_ARRAY}/test_pe_array.py::test_packed_elements_change_nothing"),
        ("V3", "modes of the PE against signed products, for all inputs", ""),
        _COVERAGE, _MUTATION, _GATES,
    ),
    *_unit(
        "attention",
        ("V1", "softmax, codes and A x V of whole instructions",
         f"{_ATTN}/test_unit.py::test_instructions, {_ATTN}/test_softmax.py::test_both_passes"),
        ("V2", "every distance, code and value; thresholds and beside them",
         f"{_ATTN}/test_exponential.py::test_every_distance_and_exponent, "
         f"{_ATTN}/test_code_select.py::test_codes_equal_the_rules, "
         f"{_ATTN}/test_shifter_array.py::test_every_code_on_every_value"),
        ("V2", "passes and stores by themselves, words that were never written",
         f"{_ATTN}/test_coding_pass.py::test_codes_reach_the_store_and_the_logits, "
         f"{_ATTN}/test_summing_pass.py::test_every_key_once_and_the_sums_in_time, "
         f"{_ATTN}/test_key_store.py::test_one_group_is_read_while_the_next_is_written, "
         f"{_ATTN}/test_value_pass.py::test_every_word_of_every_group, "
         f"{_ATTN}/test_undefined.py::test_keys_that_were_never_written_add_nothing"),
        ("V2", "rows of real networks; planted faults are caught",
         f"{_ATTN}/test_unit.py::test_network_rows, "
         f"{_ATTN}/test_unit.py::test_a_sum_taken_too_early_is_caught, "
         f"{_ATTN}/test_unit.py::test_a_masked_key_that_counts_is_caught"),
        ("V3", "code selection equals its definition for all inputs", ""),
        _COVERAGE, _MUTATION, _GATES,
    ),
    *_unit(
        "norm",
        ("V1", "LayerNorm of whole instructions", "tests/hw/norm/test_unit.py::test_instructions"),
        ("V2", "every small variance, corner tokens, walks by themselves",
         "tests/hw/norm/test_reciprocal_root.py::test_every_small_variance, "
         "tests/hw/norm/test_walkers.py::test_tokens_come_in_order_and_one_a_cycle"),
        ("V2", "tokens of real networks; a planted fault is caught",
         "tests/hw/norm/test_unit.py::test_network_tokens, "
         "tests/hw/norm/test_unit.py::test_a_fault_is_caught"),
        ("V3", "the final shift, rounding and saturation for all inputs", "formal rounding"),
        _COVERAGE, _MUTATION, _GATES,
    ),
    *_unit(
        "load",
        ("V1", "words of every memory", f"{_DMA}/test_load_unit.py::test_bench"),
        ("V1", "token runs to ACT and RESIDUAL", f"{_DMA}/test_gather.py::test_bench"),
        ("V2", "real tensors; planted faults are caught",
         f"{_DMA}/test_load_unit.py::test_network_tensors, "
         f"{_DMA}/test_gather.py::test_network_tensors, "
         f"{_DMA}/test_load_unit.py::test_a_fault_is_caught, "
         f"{_DMA}/test_gather.py::test_a_fault_is_caught"),
        ("V2", "runs byte by byte, ranges, bursts, bytes anywhere in a beat",
         f"{_DMA}/test_token_walk.py::test_every_word_of_random_runs, "
         "tests/hw/bus/test_ranges.py::test_every_range_in_its_order, "
         "tests/hw/bus/test_burst.py::test_bursts_cover_their_range, "
         "tests/hw/lib/test_byte_window.py::test_words_of_every_length_anywhere"),
        ("V3", "AXI4 read rules as a master, credits, ranges",
         "formal load_unit, formal read_issuer, formal range_walk"),
        ("V3", "bursts never cross 4 KB, stay in the window and add up, for all ranges", ""),
        _COVERAGE, _MUTATION, _GATES,
    ),
    *_unit(
        "store",
        ("V1", "words of every memory", f"{_DMA}/test_store_unit.py::test_bench"),
        ("V1", "token runs from RESIDUAL", f"{_DMA}/test_scatter.py::test_bench"),
        ("V2", "real tensors; planted faults are caught",
         f"{_DMA}/test_store_unit.py::test_network_tensors, "
         f"{_DMA}/test_scatter.py::test_network_tensors, "
         f"{_DMA}/test_store_unit.py::test_a_fault_is_caught, "
         f"{_DMA}/test_scatter.py::test_a_fault_is_caught"),
        ("V3", "AXI4 write rules as a master; within the window", "formal store_unit"),
        _COVERAGE, _MUTATION, _GATES,
    ),
    *_unit(
        "sequencer",
        ("V1", "random programs in order",
         "tests/hw/sequencer/test_sequencer.py::test_random_programs"),
        ("V2", "queues, semaphores, fetch at every bus width, illegal instructions",
         "tests/hw/sequencer/test_issue_queue.py::test_random_program, "
         "tests/hw/sequencer/test_semaphores.py::test_against_a_model, "
         "tests/hw/sequencer/test_fetch.py::test_every_bus_width, "
         "tests/hw/sequencer/test_sequencer.py::test_illegal_instruction_is_not_dispatched"),
        ("V3", "queues, semaphores and issue for all inputs",
         "formal issue_queue, formal semaphores, formal fifo, formal register_queue"),
        _COVERAGE, _MUTATION,
    ),
    *_unit(
        "host",
        ("V1", "registers and a run",
         "tests/hw/host/test_registers.py::test_writable_registers_keep_what_is_written, "
         "tests/hw/host/test_run_control.py::test_a_run"),
        ("V2", "every error, abort, watchdog, window; counters read at any time",
         "tests/hw/host/test_run_control.py::test_faults, "
         "tests/hw/host/test_run_control.py::test_watchdog_counts_cycles, "
         "tests/hw/host/test_run_window.py::test_verdicts, "
         "tests/hw/host/test_registers.py::test_counters_are_exact_whenever_they_are_read"),
        ("V3", "AXI4-Lite rules as a slave, no start lost, one event a run, verdicts",
         "formal registers, formal run_control, formal run_window"),
        _COVERAGE, _MUTATION,
    ),
    *_unit(
        "buffers and parts",
        ("V1", "random traffic of every memory",
         "tests/hw/buffers/test_activation.py::test_random_traffic, "
         "tests/hw/buffers/test_stream.py::test_random_traffic, "
         "tests/hw/buffers/test_logit.py::test_random_traffic, "
         "tests/hw/buffers/test_value.py::test_parts_become_words_of_several_tokens, "
         "tests/hw/buffers/test_residual.py::test_priorities_and_in_place_update, "
         "tests/hw/buffers/test_small.py::test_norm_parameters"),
        ("V2", "queues, gearbox, loops and walks by themselves",
         "tests/hw/lib/test_fifo.py::test_order_and_level, "
         "tests/hw/lib/test_register_queue.py::test_order_level_and_rate, "
         "tests/hw/lib/test_gearbox.py::test_words_of_every_size, "
         "tests/hw/lib/test_loop_counter.py::test_every_length_round_and_round, "
         "tests/hw/lib/test_two_level_walk.py::test_both_orders, "
         "tests/hw/lib/test_facet.py::test_both_directions_are_connected, "
         "tests/hw/lib/test_rounding.py::test_every_byte, "
         "tests/hw/lib/test_convert.py::test_a_constant_that_no_simulator_would_see_is_refused, "
         "tests/hw/bus/test_pins.py::test_every_field_passes"),
        ("V3", "the same for all inputs",
         "formal fifo, formal register_queue, formal gearbox, formal loop_counter, "
         "formal two_level_walk, formal read_arbiter"),
        _COVERAGE, _MUTATION,
    ),
    *_unit(
        "whole accelerator",
        ("V1", "every tensor of `vit_digits`", "tests/sim/system/test_network.py::test_vit_digits"),
        ("V1", "the Verilog is lint clean, the same bytes each time",
         "tests/hw/top/test_verilog.py::test_presets_are_lint_clean, "
         "tests/hw/top/test_verilog.py::test_same_bytes_from_another_process, "
         "tests/hw/top/test_events.py::test_every_counter_has_its_register"),
        ("V2", "formats under pauses, real and random networks, errors and restarts",
         "tests/sim/system/test_network.py::test_vit_digits_formats_under_stalls, "
         "tests/sim/system/test_network.py::test_synthetic, "
         "tests/sim/system/test_network.py::test_deit_tiny, "
         "tests/sim/system/test_errors.py::test_error, "
         "tests/sim/system/test_errors.py::test_errors_of_spilled_tensors"),
        ("V2", "buses of others, rules watched; no path from input to output",
         "tests/sim/system/test_axi.py::test_places, "
         "tests/sim/system/test_axi.py::test_errors_at_every_kind_of_access, "
         "tests/sim/system/test_dram.py::test_dram, "
         "tests/hw/top/test_paths.py::test_no_path_from_input_to_output"),
        ("V3", "four states: results equal, none undefined",
         "tests/sim/system/test_icarus.py::test_what_is_stored_is_equal_and_defined"),
        ("V3", "corrupt programs: an orderly end, inside the window, an exact restart",
         "tests/sim/fuzz/test_fuzz.py::test_a_sample_holds, "
         "tests/sim/fuzz/test_fuzz.py::test_what_is_planted_is_found, "
         "tests/sim/fuzz/test_fuzz.py::test_a_restart_that_differs_is_found"),
        _COVERAGE,
    ),
)  # fmt: skip
