/** Moorage in a browser, or on any `GPUDevice`. In Node import `moorage/node`. */

// The runtime
export { createRuntime, Runtime } from "./device/runtime.ts";
export type { ArraysOf, TransferOperations } from "./device/transfer-operations.ts";
export type { RuntimeOptions } from "./device/runtime-options.ts";
export type { Budget } from "./device/budget.ts";
export type { LiveAllocation } from "./device/live-allocations.ts";
export type { RuntimeStats } from "./device/report.ts";
export type { CompactionResult } from "./device/memory/compaction.ts";
export type { StorageReport } from "./device/memory/device-heap.ts";
export type { GpuBufferStats } from "./device/memory/gpu-memory.ts";
export type {
  DevicePressureEvent,
  DevicePressureListener,
  LadderCounts,
} from "./device/memory/ladder.ts";

// Scopes
export { Scope } from "./device/scope.ts";
export type { ScopeBody, ScopeOptions } from "./device/scope.ts";

// Tensors
export { Tensor } from "./device/tensor.ts";
export type { NestedNumbers, TensorInput, TensorState } from "./device/tensor.ts";
export type { Branded, Owned } from "./host/lifetime.ts";
export { GrowableTensor } from "./device/growable-tensor.ts";
export type { GrowableOptions } from "./device/growable-tensor.ts";
export { Transfer } from "./device/transfer/transfer.ts";
export type { TransferStatus } from "./device/transfer/transfer.ts";
export type { UploadMeasurement, UploadTimes } from "./device/transfer/measure-uploads.ts";
export type { UploadPlan, UploadWay } from "./device/transfer/upload-ways.ts";
export type { ByteProducer, WriteFromOptions } from "./device/transfer/write-from.ts";
export type { ByteConsumer } from "./device/transfer/read-pieces.ts";
export type { ReadOptions, ReadToOptions } from "./device/transfer/read-to.ts";
export { Lease, ReadLease } from "./device/lease.ts";
export { PinnedTensor } from "./host/pinned/pinned-tensor.ts";
export type { PinnedTensorOptions } from "./host/pinned/pinned-tensor.ts";
export { HostTensor, hostTensor } from "./host/tensor/host-tensor.ts";
export type {
  HostAllocation,
  HostRegion,
  HostTensorOptions,
  NestedArray,
} from "./host/tensor/host-region.ts";
export type { Operations, AxisOptions, ReduceOptions, SumDtype } from "./device/operations.ts";
export type { SourceReader } from "./device/memory/block-table.ts";
export type { RestoreResult } from "./device/restore.ts";
export type { TensorFactory } from "./device/tensor-factory.ts";
export type {
  ConversionOptions,
  LabelOptions,
  SourceOptions,
  TensorOptions,
  Uploads,
} from "./device/uploads.ts";
export type { BinaryName, UnaryName } from "./device/kernels/builtin.ts";

// Sharing the device with other code
export { BindingLease } from "./device/interop.ts";
export type { WrapOptions } from "./device/interop.ts";

// Kernels
export type { EntryUse } from "./device/kernels/entry-kernels.ts";
export type { KernelSplit } from "./device/kernels/entry-split.ts";
export { defineElementwise, defineKernel } from "./device/user-kernel.ts";
export type {
  ElementwiseKernel,
  ElementwiseOptions,
  EntryKernel,
  EntryOptions,
  ParameterTypes,
  ParameterValues,
} from "./device/user-kernel.ts";

// Vocabulary
export {
  Alignment,
  alignDown,
  alignUp,
  bindingAlignment,
  isAligned,
  isValidAlignment,
  isViewAligned,
} from "./host/alignment.ts";
export { SimdBuffer } from "./host/simd-buffer.ts";
export type { SimdBufferOptions } from "./host/simd-buffer.ts";
export type { AlignmentKind, ArenaMemory } from "./host/arena/page-source.ts";
export type { FixedArenaOptions, GivenArenaOptions, ResetMode } from "./host/arena/hot-arena.ts";
export { detectSimdAlignment } from "./host/simd-alignment.ts";
export type { SimdAlignment } from "./host/simd-alignment.ts";
export { dtypeInfo, dtypes, hostDtypeInfo, hostDtypes, vectorAlignment } from "./host/dtype.ts";
export type {
  ArrayOf,
  DType,
  DTypeInfo,
  HostArray,
  HostDType,
  HostDTypeInfo,
  WgslScalar,
} from "./host/dtype.ts";
export { float16ToNumber, numberToFloat16 } from "./host/float16.ts";
export {
  broadcastLayout,
  broadcastShapes,
  contiguousLayout,
  Layout,
  reshapeLayout,
  sliceLayout,
  transposeLayout,
} from "./host/layout.ts";
export type { Shape, SliceRange } from "./host/layout.ts";
export { formatBytes, GiB, KiB, MiB } from "./host/units.ts";

// Regions
export { HotArena } from "./host/arena/hot-arena.ts";
export { PagePool } from "./host/arena/page-pool.ts";
export type { PagePoolOptions } from "./host/arena/page-pool.ts";
export { GeneralHeap } from "./host/general/general-heap.ts";
export type {
  GeneralHeapOptions,
  GrowthPolicy,
  GrowthState,
} from "./host/general/general-heap-options.ts";
export type { GeneralBlock, Pin, PinOptions } from "./host/general/general-block.ts";
export type { CollectionStats, Pauses } from "./host/general/collector.ts";
export type { PressureEvent, PressureLevel, PressureListener } from "./host/general/pressure.ts";
export { PinnedHeap } from "./host/pinned/pinned-heap.ts";
export {
  readIntoPinned,
  streamFromPinned,
  streamIntoPinned,
  writeFromPinned,
} from "./host/pinned/pinned-io.ts";
export type { ByteSink, ByteSource, TransferOptions } from "./host/pinned/pinned-io.ts";
export type {
  PinnedBlock,
  PinnedUse,
  PinnedDirection,
  PinnedState,
} from "./host/pinned/pinned-block.ts";
export type { Allocation, AllocationRequest, MemoryRegion, Result } from "./host/region.ts";
export type { Balance, Counter, RegionKind, RegionStats } from "./host/statistics.ts";

// Diagnostics
export type { Advice, AdviceKind, AdvisorOptions } from "./host/diagnostics/advisor.ts";
export { Diagnostics } from "./host/diagnostics/diagnostics.ts";
export type { DiagnosticsOptions, OutstandingAllocation } from "./host/diagnostics/diagnostics.ts";
export type { Observed, RegionObserver } from "./host/diagnostics/observer.ts";
export { TraceRing } from "./host/diagnostics/trace-ring.ts";
export type { TraceEvent } from "./host/diagnostics/trace-ring.ts";

// One concern each, around any region
export { CountedRegion } from "./host/wrappers/counted-region.ts";
export type { PassageCounts } from "./host/wrappers/counted-region.ts";
export { FaultyRegion } from "./host/wrappers/faulty-region.ts";
export { LimitedRegion } from "./host/wrappers/limited-region.ts";
export { LoggedRegion } from "./host/wrappers/logged-region.ts";
export { RegionWrapper } from "./host/wrappers/region-wrapper.ts";
export { TrackedRegion } from "./host/wrappers/tracked-region.ts";
export type { Outstanding, TrackingOptions } from "./host/wrappers/tracked-region.ts";
export type { CollectionEvent, MemoryEvent, MoveEvent, ProfilingHooks } from "./host/profiling.ts";

// Errors
export {
  CancelledError,
  DeviceError,
  InvalidArgumentError,
  KernelError,
  LifetimeError,
  MoorageError,
  OutOfMemoryError,
} from "./host/errors.ts";
export type { ErrorCode, KernelMessage, MemoryShare } from "./host/errors.ts";
