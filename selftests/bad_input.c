// SPDX-License-Identifier: GPL-2.0
/*
 * Hostile arguments through verbs, each with the errno or completion status
 * that it has to get. A line for each case: "pass|fail description".
 *
 * bad_input [secret]
 *   secret   RDMA to memory of memfd_secret too, which wedges a kernel that maps it
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/odp.h"

#define PAGES	16
#define LEN	(PAGES * ODP_PAGE)

static struct odp o;
static struct ibv_mr *bounce;

/* The errnos that a case allows; 0 means that it may be accepted. */
#define WANT(...) ((const int[]){ __VA_ARGS__, -1 })

static void judge(const char *what, int err, const int *want)
{
	while (*want >= 0 && *want != err)
		want++;
	printf("%s %s: %s\n", *want == err ? "pass" : "fail", what,
	       err ? strerrorname_np(err) : "accepted");
}

static void judge_wc(const char *what, enum ibv_wc_status got,
		     enum ibv_wc_status want)
{
	printf("%s %s: %s\n", got == want ? "pass" : "fail", what,
	       ibv_wc_status_str(got));
	if (got)
		odp_connect(&o);
}

static struct ibv_mr *try_reg(uintptr_t addr, size_t len, int access)
{
	return ibv_reg_mr(o.pd, (void *)addr, len,
			  access | IBV_ACCESS_ON_DEMAND);
}

static void reg_case(const char *what, uintptr_t addr, size_t len,
		     const int *want)
{
	struct ibv_mr *mr = try_reg(addr, len, ODP_RW);

	judge(what, mr ? 0 : errno, want);
	if (mr)
		ibv_dereg_mr(mr);
}

static void reg_cases(uintptr_t addr)
{
	const uintptr_t top = UINTPTR_MAX - ODP_PAGE + 1;

	reg_case("register length 0", addr, 0, WANT(EINVAL));
	reg_case("register length 0, unaligned", addr + 100, 0, WANT(0, EINVAL));
	reg_case("register 0, U64_MAX: implicit, which rxe has not",
		 0, SIZE_MAX, WANT(EOPNOTSUPP));
	/* libibverbs takes this for a wrong implicit registration */
	reg_case("register length U64_MAX", addr, SIZE_MAX,
		 WANT(EINVAL, EOVERFLOW));
	reg_case("register length U64_MAX - 1", addr, SIZE_MAX - 1,
		 WANT(EOVERFLOW));
	reg_case("register a range that wraps", addr, 0 - addr + ODP_PAGE,
		 WANT(EOVERFLOW));
	reg_case("register a range that ends at 2^64", top, ODP_PAGE,
		 WANT(EOVERFLOW));
	reg_case("register a range whose last page ends at 2^64", top,
		 ODP_PAGE - 1, WANT(EOVERFLOW));
	reg_case("register 2 GiB", addr, 1UL << 31, WANT(0, EINVAL, EFAULT));
	reg_case("register 4 GiB", addr, 1UL << 32, WANT(0, EINVAL, EFAULT));
	reg_case("register 4 GiB and a page", addr, (1UL << 32) + ODP_PAGE,
		 WANT(0, EINVAL, EFAULT));
	reg_case("register 2^62 bytes", addr, 1UL << 62,
		 WANT(ENOMEM, EINVAL, EOVERFLOW));
	reg_case("register one byte", addr + 1, 1, WANT(0));
	reg_case("register unaligned", addr + 4095, 2, WANT(0));
}

static enum ibv_wc_status rdma(enum ibv_wr_opcode op, uintptr_t addr,
			       uint32_t rkey, size_t len)
{
	return odp_rdma(&o, op, odp_at(bounce, 0),
			(struct odp_side){ addr, rkey }, len);
}

static void prefetch_case(const char *what, struct ibv_mr *mr, const int *want)
{
	char text[100];

	snprintf(text, sizeof(text), "prefetch %s for writing", what);
	judge(text, odp_prefetch(&o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, mr, 0,
				 ODP_PAGE), want);
}

static void rdma_case(const char *what, struct ibv_mr *mr,
		      enum ibv_wc_status write, enum ibv_wc_status read)
{
	const uintptr_t addr = (uintptr_t)mr->addr;
	char text[100];

	snprintf(text, sizeof(text), "RDMA WRITE to %s", what);
	judge_wc(text, rdma(IBV_WR_RDMA_WRITE, addr, mr->rkey, o.chunk), write);
	snprintf(text, sizeof(text), "RDMA READ of %s", what);
	judge_wc(text, rdma(IBV_WR_RDMA_READ, addr, mr->rkey, o.chunk), read);
}

/* Registers, prefetches, writes and reads one page of memory. */
static void page_case(const char *what, uintptr_t addr, int access,
		      const int *prefetch, enum ibv_wc_status write,
		      enum ibv_wc_status read)
{
	struct ibv_mr *mr = try_reg(addr, ODP_PAGE, access);
	char text[100];

	snprintf(text, sizeof(text), "register %s", what);
	judge(text, mr ? 0 : errno, WANT(0));
	if (!mr)
		return;
	if (prefetch)
		prefetch_case(what, mr, prefetch);
	rdma_case(what, mr, write, read);
	ibv_dereg_mr(mr);
}

static void page_cases(void)
{
	const int deny = IBV_WC_REM_ACCESS_ERR;
	unsigned char *addr = odp_map(LEN);
	int fd = memfd_create("bad_input", MFD_CLOEXEC);
	void *past_end;

	memset(addr, 0, LEN);
	munmap(addr, ODP_PAGE);
	page_case("unmapped memory", (uintptr_t)addr, ODP_RW, WANT(EFAULT),
		  deny, deny);
	addr += ODP_PAGE;
	mprotect(addr, ODP_PAGE, PROT_NONE);
	page_case("PROT_NONE memory", (uintptr_t)addr, ODP_RW, WANT(EFAULT),
		  deny, deny);
	addr += ODP_PAGE;
	mprotect(addr, ODP_PAGE, PROT_READ);
	page_case("read-only memory", (uintptr_t)addr, ODP_RW, WANT(EPERM),
		  deny, IBV_WC_SUCCESS);
	/* rxe asks for local write before it looks at the advice: no prefetch */
	page_case("a read-only region", (uintptr_t)addr, IBV_ACCESS_REMOTE_READ,
		  NULL, deny, IBV_WC_SUCCESS);
	page_case("kernel memory", 0xffff888000000000, ODP_RW, WANT(EFAULT),
		  deny, deny);
	page_case("a non-canonical address", 0x8000000000000000, ODP_RW,
		  WANT(EFAULT), deny, deny);
	past_end = mmap(NULL, ODP_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || past_end == MAP_FAILED)
		odp_die(errno, "memfd");
	page_case("a file's mapping beyond its end", (uintptr_t)past_end, ODP_RW,
		  WANT(EFAULT), deny, deny);
}

/* Refused when it is registered, and where it has come since. */
static void secret_case(int with_rdma)
{
	static const char what[] = "memory of memfd_secret";
	int fd = syscall(SYS_memfd_secret, 0);
	unsigned char *addr = odp_map(ODP_PAGE);
	struct ibv_mr *mr = try_reg((uintptr_t)addr, ODP_PAGE, ODP_RW);

	if (!mr || fd < 0 || ftruncate(fd, ODP_PAGE))
		odp_die(errno, "memfd_secret");
	addr = mmap(addr, ODP_PAGE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED, fd, 0);
	if (addr == MAP_FAILED)
		odp_die(errno, "mmap of memfd_secret");
	/* Present, so that nothing but its kind keeps the device away */
	addr[0] = 1;
	reg_case("register memory of memfd_secret", (uintptr_t)addr, ODP_PAGE,
		 WANT(EFAULT));
	prefetch_case(what, mr, WANT(EFAULT));
	if (with_rdma)
		rdma_case(what, mr, IBV_WC_REM_ACCESS_ERR, IBV_WC_REM_ACCESS_ERR);
	ibv_dereg_mr(mr);
}

static int advise(uint64_t addr, uint32_t len, uint32_t lkey, uint32_t flags,
		  unsigned int advice)
{
	struct ibv_sge sge = { .addr = addr, .length = len, .lkey = lkey };

	return ibv_advise_mr(o.pd, advice, flags, &sge, 1);
}

static void advise_case(const char *what, uint64_t addr, uint32_t len,
			struct ibv_mr *mr, const int *want)
{
	char text[100];

	snprintf(text, sizeof(text), "prefetch %s", what);
	judge(text, advise(addr, len, mr->lkey, IBV_ADVISE_MR_FLAG_FLUSH,
			   IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE), want);
	snprintf(text, sizeof(text), "prefetch %s, without faults", what);
	judge(text, advise(addr, len, mr->lkey, IBV_ADVISE_MR_FLAG_FLUSH,
			   IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT), want);
}

static void advise_cases(struct ibv_mr *mr)
{
	const uint64_t addr = (uintptr_t)mr->addr;
	const uint32_t rw = IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE;

	advise_case("beyond the end", addr + LEN, ODP_PAGE, mr, WANT(EFAULT));
	advise_case("across the end", addr + LEN - ODP_PAGE, 2 * ODP_PAGE, mr,
		    WANT(EFAULT));
	advise_case("before the start", addr - ODP_PAGE, ODP_PAGE, mr,
		    WANT(EFAULT));
	advise_case("a range that wraps", -(uint64_t)ODP_PAGE, 2 * ODP_PAGE, mr,
		    WANT(EINVAL, EFAULT));
	advise_case("address 0", 0, ODP_PAGE, mr, WANT(EFAULT));
	advise_case("length 0", addr, 0, mr, WANT(EINVAL));
	/* These reach ib_core as negative numbers, extended to 64 bits */
	advise_case("length 2^31", addr, 1U << 31, mr, WANT(EFAULT, EINVAL));
	advise_case("length 2^32 - 1", addr, UINT32_MAX, mr,
		    WANT(EFAULT, EINVAL));
	advise_case("length 2^32 - 1 at the last page", addr + LEN - ODP_PAGE,
		    UINT32_MAX, mr, WANT(EFAULT, EINVAL));
	judge("prefetch with a wrong key",
	      advise(addr, ODP_PAGE, mr->lkey ^ 1, 1, rw), WANT(EINVAL));
	judge("prefetch with key 0", advise(addr, ODP_PAGE, 0, 1, rw),
	      WANT(EINVAL));
	judge("prefetch with unknown flags",
	      advise(addr, ODP_PAGE, mr->lkey, 0x80000000, rw), WANT(EINVAL));
	judge("unknown advice", advise(addr, ODP_PAGE, mr->lkey, 1, 77),
	      WANT(EOPNOTSUPP, EINVAL));
	judge("prefetch in the background, beyond the end: best effort",
	      advise(addr + LEN, ODP_PAGE, mr->lkey, 0, rw), WANT(0));
	judge("prefetch in the background, length 2^32 - 1: best effort",
	      advise(addr, UINT32_MAX, mr->lkey, 0, rw), WANT(0));
}

static void rdma_both(const char *what, uintptr_t addr, uint32_t rkey,
		      size_t len, enum ibv_wc_status want)
{
	char text[100];

	snprintf(text, sizeof(text), "RDMA WRITE %s", what);
	judge_wc(text, rdma(IBV_WR_RDMA_WRITE, addr, rkey, len), want);
	snprintf(text, sizeof(text), "RDMA READ %s", what);
	judge_wc(text, rdma(IBV_WR_RDMA_READ, addr, rkey, len), want);
}

static void rdma_cases(struct ibv_mr *mr)
{
	const uintptr_t addr = (uintptr_t)mr->addr;
	const int deny = IBV_WC_REM_ACCESS_ERR;

	rdma_both("beyond the end", addr + LEN, mr->rkey, 8, deny);
	rdma_both("across the end", addr + LEN - 8, mr->rkey, 16, deny);
	rdma_both("before the start", addr - 8, mr->rkey, 8, deny);
	rdma_both("across the start", addr - 8, mr->rkey, 16, deny);
	rdma_both("at address 0", 0, mr->rkey, 8, deny);
	rdma_both("at 2^64 - 8", UINTPTR_MAX - 7, mr->rkey, 16, deny);
	rdma_both("with a wrong key", addr, mr->rkey ^ 1, 8, deny);
	rdma_both("of nothing", addr, mr->rkey, 0, IBV_WC_SUCCESS);
	rdma_both("of one page after all that", addr, mr->rkey, o.chunk,
		  IBV_WC_SUCCESS);
}

int main(int argc, char **argv)
{
	unsigned char *addr;
	struct ibv_mr *mr;

	odp_open(&o);
	bounce = odp_reg(&o, odp_map(ODP_PAGE), ODP_PAGE, IBV_ACCESS_LOCAL_WRITE);
	/* A page before and after is never part of the region */
	addr = odp_map(LEN + 2 * ODP_PAGE) + ODP_PAGE;
	memset(addr, 0, LEN);
	reg_cases((uintptr_t)addr);
	page_cases();
	secret_case(argc > 1 && !strcmp(argv[1], "secret"));
	mr = odp_reg(&o, addr, LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
	advise_cases(mr);
	rdma_cases(mr);
	ibv_dereg_mr(mr);
	ibv_dereg_mr(bounce);
	odp_close(&o);
	return ODP_OK;
}
